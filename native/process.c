// Scheduling, memory and privileges of the calling process.
#include "tandem.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 256
#define THREAD_ANSWERS_WITHIN_US 1000000

// scheduleFifo(priority 1..99): SCHED_FIFO for the main thread; children do not inherit it. Needs CAP_SYS_NICE.
static napi_value schedule_fifo(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  struct sched_param parameter = {.sched_priority = int_argument(env, argv[0])};
  return call_result(env, sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter));
}

// lockMemory(): code, libraries, stack and malloc's heap stay in memory once they were touched. Needs CAP_IPC_LOCK.
// Not mlockall(): V8 gives pages of its own heap back with madvise(MADV_DONTNEED), which the kernel refuses on locked
// pages (mm/madvise.c: can_madv_lru_vma), and V8 then aborts the process. That heap is anonymous memory without a name.
static napi_value lock_memory(napi_env env, napi_callback_info info) {
  (void)info;
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return int_result(env, -errno);
  int result = 0;
  char line[512];
  while (result == 0 && fgets(line, sizeof line, maps) != NULL) {
    unsigned long start, end;
    char permissions[5], name[256] = "";
    if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &start, &end, permissions, name) < 3) continue;
    bool is_named = name[0] == '/' || strcmp(name, "[heap]") == 0 || strcmp(name, "[stack]") == 0;
    if (permissions[0] != 'r' || !is_named) continue;
    if (mlock2((void *)start, end - start, MLOCK_ONFAULT) < 0) result = -errno;
  }
  fclose(maps);
  return int_result(env, result);
}

// What every thread is to be limited to. Capabilities belong to threads; libc changes those of the caller alone.
static struct {
  uint32_t capabilities;
  bool is_final;
  _Atomic int answers;
  _Atomic int error;
} limit;

static void drop_from_bounding_set(void) {
  // Refused (EPERM) without CAP_SETPCAP; who has not got that gets nothing by an exec, see no_new_privs.
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (capability > 31 || (limit.capabilities & 1u << capability) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

// Effective: those of the permitted ones that are wanted. The others stay permitted, and inheritable, only where
// children get theirs by inheritance: a user other than root, before the final limit.
static int limit_this_thread(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) < 0) return -errno;
  bool children_inherit = !limit.is_final && geteuid() != 0;
  if (limit.is_final) drop_from_bounding_set();
  for (int word = 0; word < 2; word++) {
    uint32_t wanted = word == 0 ? limit.capabilities : 0;
    data[word].effective = data[word].permitted & wanted;
    if (children_inherit) continue;
    data[word].permitted &= wanted;
    data[word].inheritable = 0;
  }
  if (limit.is_final && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
  return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static void on_limit_signal(int signal) {
  (void)signal;
  int saved = errno, result = limit_this_thread();
  if (result < 0) limit.error = result;
  errno = saved;
  limit.answers++;
}

static int limit_other_thread(pid_t thread, int signal) {
  int answers = limit.answers;
  // A thread that has just ended needs no limit.
  if (syscall(SYS_tgkill, getpid(), thread, signal) < 0) return errno == ESRCH ? 0 : -errno;
  for (int waited = 0; limit.answers == answers; waited += 50) {
    if (waited >= THREAD_ANSWERS_WITHIN_US) return -ETIMEDOUT;
    usleep(50);
  }
  return limit.error;
}

// One pass over the threads that are not in `done` yet; how many there were, or -errno.
static int limit_other_threads(int signal, pid_t *done, int *done_count) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return -errno;
  int found = 0;
  for (struct dirent *task = readdir(tasks); task != NULL && found >= 0; task = readdir(tasks)) {
    pid_t thread = (pid_t)atoi(task->d_name);
    bool is_known = thread == 0;
    for (int i = 0; i < *done_count && !is_known; i++) is_known = done[i] == thread;
    if (is_known) continue;
    int result = *done_count == THREADS_MAX ? -E2BIG : limit_other_thread(thread, signal);
    if (result == 0) done[(*done_count)++] = thread;
    found = result < 0 ? result : found + 1;
  }
  closedir(tasks);
  return found;
}

// limitCapabilities(mask of capabilities 0..31, isFinal): of all threads, those that are there and, by inheritance,
// those to come. Final: nothing can be had again, by no exec either. -ETIMEDOUT: a thread blocks all signals.
static napi_value limit_capabilities(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  limit.capabilities = (uint32_t)int_argument(env, argv[0]);
  limit.is_final = int_argument(env, argv[1]) != 0;
  limit.error = 0;
  int result = limit_this_thread();
  if (result < 0) return int_result(env, result);
  struct sigaction action = {.sa_handler = on_limit_signal, .sa_flags = SA_RESTART}, before;
  if (sigaction(SIGRTMAX, &action, &before) < 0) return int_result(env, -errno);
  pid_t done[THREADS_MAX] = {(pid_t)syscall(SYS_gettid)};
  int done_count = 1, found;
  // A thread that was not limited yet may have made another one meanwhile.
  do found = limit_other_threads(SIGRTMAX, done, &done_count);
  while (found > 0);
  // A late answer to a handler that is gone would end the process.
  if (found != -ETIMEDOUT) sigaction(SIGRTMAX, &before, NULL);
  return int_result(env, found);
}

// groupId(name) -> gid, wherever the host keeps its groups; -ENOENT if it has none of that name.
static napi_value group_id(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  char name[256], buffer[65536];
  size_t length = 0;
  if (napi_get_value_string_utf8(env, argv[0], name, sizeof name, &length) != napi_ok) return int_result(env, -EINVAL);
  struct group group, *found = NULL;
  int error = getgrnam_r(name, &group, buffer, sizeof buffer, &found);
  if (found == NULL) return int_result(env, error == 0 ? -ENOENT : -error);
  return int_result(env, found->gr_gid);
}

void export_process(napi_env env, napi_value exports) {
  export_function(env, exports, "scheduleFifo", schedule_fifo);
  export_function(env, exports, "lockMemory", lock_memory);
  export_function(env, exports, "limitCapabilities", limit_capabilities);
  export_function(env, exports, "groupId", group_id);
}

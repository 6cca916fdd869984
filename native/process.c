// Scheduling and memory of the calling process.
#include "tandem.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>

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

void export_process(napi_env env, napi_value exports) {
  export_function(env, exports, "scheduleFifo", schedule_fifo);
  export_function(env, exports, "lockMemory", lock_memory);
}

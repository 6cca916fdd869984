// Scheduling and memory of the calling process.
#include "tandem.h"

#include <sched.h>
#include <sys/mman.h>

// scheduleFifo(priority 1..99): SCHED_FIFO for the main thread; children do not inherit it. Needs CAP_SYS_NICE.
static napi_value schedule_fifo(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  struct sched_param parameter = {.sched_priority = int_argument(env, argv[0])};
  return call_result(env, sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter));
}

// lockMemory(): what is in memory now stays there, what comes later is locked as it is touched. Needs CAP_IPC_LOCK.
static napi_value lock_memory(napi_env env, napi_callback_info info) {
  (void)info;
  return call_result(env, mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
}

void export_process(napi_env env, napi_value exports) {
  export_function(env, exports, "scheduleFifo", schedule_fifo);
  export_function(env, exports, "lockMemory", lock_memory);
}

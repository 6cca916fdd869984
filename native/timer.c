// Timers of the kernel: exact to some microseconds, where those of Node's event loop are whole milliseconds.
#include "tandem.h"

#include <sys/timerfd.h>

enum { MICROSECONDS_PER_SECOND = 1000 * 1000, NANOSECONDS_PER_MICROSECOND = 1000 };

// timerOpen() -> fd that becomes readable when the time that was set is over.
static napi_value timer_open(napi_env env, napi_callback_info info) {
  (void)info;
  return call_result(env, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}

// timerSet(fd, delayUs): once, from now on; instead of what was set before, and no longer readable for that. 0: never.
static napi_value timer_set(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int64_t us = 0;
  napi_get_value_int64(env, argv[1], &us);
  if (us < 0) return int_result(env, -EINVAL);
  struct itimerspec once = {.it_value = {.tv_sec = us / MICROSECONDS_PER_SECOND,
                                         .tv_nsec = us % MICROSECONDS_PER_SECOND * NANOSECONDS_PER_MICROSECOND}};
  return call_result(env, timerfd_settime(int_argument(env, argv[0]), 0, &once, NULL));
}

void export_timer(napi_env env, napi_value exports) {
  export_function(env, exports, "timerOpen", timer_open);
  export_function(env, exports, "timerSet", timer_set);
}

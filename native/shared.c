// Memory and wake-ups that processes share: counters in a memory file, and event descriptors. Both are inherited.
// The counters are 32-bit cells of an Int32Array; JavaScript reads them, only these calls write them.
#include "tandem.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

// memoryOpen(bytes) -> fd of a memory file without a name, filled with zeros. Pages that nobody touches cost nothing.
static napi_value memory_open(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int fd = memfd_create("tandem-shared", MFD_CLOEXEC);
  if (fd < 0) return int_result(env, -errno);
  if (ftruncate(fd, int_argument(env, argv[0])) == 0) return int_result(env, fd);
  int error = errno;
  close(fd);
  return int_result(env, -error);
}

static void unmap(napi_env env, void *memory, void *length) {
  (void)env;
  munmap(memory, (size_t)(uintptr_t)length);
}

// memoryMap(fd, bytes) -> ArrayBuffer | -errno
static napi_value memory_map(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX], buffer;
  arguments(env, info, argv);
  size_t length = (size_t)int_argument(env, argv[1]);
  void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, int_argument(env, argv[0]), 0);
  if (memory == MAP_FAILED) return int_result(env, -errno);
  if (napi_create_external_arraybuffer(env, memory, length, unmap, (void *)(uintptr_t)length, &buffer) == napi_ok)
    return buffer;
  munmap(memory, length);
  return int_result(env, -ENOMEM);
}

// The cells of an Int32Array; NULL unless `index` is one of them.
static _Atomic int32_t *cells_argument(napi_env env, napi_value array, int64_t index) {
  size_t bytes;
  _Atomic int32_t *cells = bytes_argument(env, array, &bytes);
  return cells != NULL && index >= 0 && index < (int64_t)(bytes / sizeof *cells) ? cells : NULL;
}

// cellAdd(cells, index, amount) -> the cell's new value
static napi_value cell_add(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int32_t index = int_argument(env, argv[1]), amount = int_argument(env, argv[2]);
  _Atomic int32_t *cells = cells_argument(env, argv[0], index);
  if (cells == NULL) return int_result(env, -EINVAL);
  int32_t value = atomic_fetch_add(&cells[index], amount) + amount;
  // Reads of other cells that follow, in JavaScript, must not have been done before.
  atomic_thread_fence(memory_order_seq_cst);
  return int_result(env, value);
}

// cellSet(cells, index, value) -> 0
static napi_value cell_set(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int32_t index = int_argument(env, argv[1]);
  _Atomic int32_t *cells = cells_argument(env, argv[0], index);
  if (cells == NULL) return int_result(env, -EINVAL);
  atomic_store(&cells[index], int_argument(env, argv[2]));
  atomic_thread_fence(memory_order_seq_cst);
  return int_result(env, 0);
}

static int64_t sum_of(_Atomic int32_t *cells, int32_t first, int32_t step, int32_t count) {
  int64_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += atomic_load(&cells[first + i * step]);
  return sum;
}

// cellAcquire(cells, own, first, step, count, limit) -> the new sum of the cells first, first + step, ... (count of
// them, `own` among them) after one was added to `own`, or 0 if the sum would be above the limit.
// Everybody writes first and looks then, so two can stand in each other's way for a moment, but never pass the limit
// together. Who gave way looks again: the last to give way sees all that is free, so nothing free is left behind.
static napi_value cell_acquire(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int32_t own = int_argument(env, argv[1]), first = int_argument(env, argv[2]), step = int_argument(env, argv[3]);
  int32_t count = int_argument(env, argv[4]), limit = int_argument(env, argv[5]);
  _Atomic int32_t *cells = cells_argument(env, argv[0], own);
  bool fits = first >= 0 && step >= 0 && count > 0;
  if (!fits || cells == NULL || cells_argument(env, argv[0], first + (int64_t)(count - 1) * step) == NULL)
    return int_result(env, -EINVAL);
  while (sum_of(cells, first, step, count) < limit) {
    atomic_fetch_add(&cells[own], 1);
    int64_t sum = sum_of(cells, first, step, count);
    if (sum <= limit) return int_result(env, sum);
    atomic_fetch_sub(&cells[own], 1);
  }
  return int_result(env, 0);
}

// eventOpen() -> fd that is readable after it was signalled.
static napi_value event_open(napi_env env, napi_callback_info info) {
  (void)info;
  return call_result(env, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

// eventSignal(fd): signals that have not been taken yet are one.
static napi_value event_signal(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  return call_result(env, eventfd_write(int_argument(env, argv[0]), 1));
}

// eventTake(fd): it is no longer readable; -EAGAIN if it was not.
static napi_value event_take(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  eventfd_t signals;
  return call_result(env, eventfd_read(int_argument(env, argv[0]), &signals));
}

void export_shared(napi_env env, napi_value exports) {
  export_function(env, exports, "memoryOpen", memory_open);
  export_function(env, exports, "memoryMap", memory_map);
  export_function(env, exports, "cellAdd", cell_add);
  export_function(env, exports, "cellSet", cell_set);
  export_function(env, exports, "cellAcquire", cell_acquire);
  export_function(env, exports, "eventOpen", event_open);
  export_function(env, exports, "eventSignal", event_signal);
  export_function(env, exports, "eventTake", event_take);
}

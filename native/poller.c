// One epoll instance inside Node's own event loop: an epoll descriptor is itself pollable, so libuv watches it and
// calls back once per turn with everything that is ready, however many sockets there are.
#include "tandem.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#define EVENTS_PER_WAIT 512

typedef struct {
  uv_poll_t handle;
  napi_env env;
  napi_async_context async;
  napi_ref callback;
  napi_ref ready;
  int fd;
} poller;

static poller *poller_argument(napi_env env, napi_value value) {
  void *data = NULL;
  napi_get_value_external(env, value, &data);
  return data;
}

// Fills `ready` with pairs (id, events) and calls back with their number; level-triggered, so what did not fit comes
// with the next turn.
static void on_readable(uv_poll_t *handle, int status, int libuv_events) {
  (void)status, (void)libuv_events;
  poller *self = handle->data;
  struct epoll_event events[EVENTS_PER_WAIT];
  napi_handle_scope scope;
  napi_open_handle_scope(self->env, &scope);
  napi_value ready, callback, receiver, count;
  napi_get_reference_value(self->env, self->ready, &ready);
  size_t size;
  int32_t *pairs = bytes_argument(self->env, ready, &size);
  int room = (int)(size / 8) < EVENTS_PER_WAIT ? (int)(size / 8) : EVENTS_PER_WAIT;
  int n = epoll_wait(self->fd, events, room, 0);
  for (int i = 0; i < n; i++) pairs[2 * i] = (int32_t)events[i].data.u32, pairs[2 * i + 1] = (int32_t)events[i].events;
  if (n > 0) {
    napi_get_reference_value(self->env, self->callback, &callback);
    napi_get_global(self->env, &receiver);
    napi_create_int32(self->env, n, &count);
    // An exception in the callback is a bug: it must reach process.on('uncaughtException'), not vanish here.
    if (napi_make_callback(self->env, self->async, receiver, callback, 1, &count, NULL) == napi_pending_exception) {
      napi_value error;
      napi_get_and_clear_last_exception(self->env, &error);
      napi_fatal_exception(self->env, error);
    }
  }
  napi_close_handle_scope(self->env, scope);
}

// pollerOpen(ready: Int32Array, callback: (count) => void) -> poller | -errno
static napi_value poller_open(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return int_result(env, -errno);
  poller *self = calloc(1, sizeof *self);
  self->env = env;
  self->fd = fd;
  self->handle.data = self;
  napi_value name, result;
  napi_create_string_utf8(env, "tandem-poller", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &self->async);
  napi_create_reference(env, argv[0], 1, &self->ready);
  napi_create_reference(env, argv[1], 1, &self->callback);
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  uv_poll_init(loop, &self->handle, fd);
  uv_poll_start(&self->handle, UV_READABLE, on_readable);
  napi_create_external(env, self, NULL, NULL, &result);
  return result;
}

static napi_value control(napi_env env, napi_callback_info info, int operation) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  struct epoll_event event = {.events = (uint32_t)int_argument(env, argv[2]),
                              .data.u32 = (uint32_t)int_argument(env, argv[3])};
  return call_result(env, epoll_ctl(poller_argument(env, argv[0])->fd, operation, int_argument(env, argv[1]), &event));
}

// pollerAdd(poller, fd, events, id), pollerModify(poller, fd, events, id), pollerRemove(poller, fd)
static napi_value poller_add(napi_env env, napi_callback_info info) { return control(env, info, EPOLL_CTL_ADD); }
static napi_value poller_modify(napi_env env, napi_callback_info info) { return control(env, info, EPOLL_CTL_MOD); }
static napi_value poller_remove(napi_env env, napi_callback_info info) { return control(env, info, EPOLL_CTL_DEL); }

static void on_closed(uv_handle_t *handle) { free(handle->data); }

// pollerClose(poller): the last call for it.
static napi_value poller_close(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  poller *self = poller_argument(env, argv[0]);
  uv_poll_stop(&self->handle);
  close(self->fd);
  napi_async_destroy(env, self->async);
  napi_delete_reference(env, self->ready);
  napi_delete_reference(env, self->callback);
  uv_close((uv_handle_t *)&self->handle, on_closed);
  return int_result(env, 0);
}

void export_poller(napi_env env, napi_value exports) {
  export_function(env, exports, "pollerOpen", poller_open);
  export_function(env, exports, "pollerAdd", poller_add);
  export_function(env, exports, "pollerModify", poller_modify);
  export_function(env, exports, "pollerRemove", poller_remove);
  export_function(env, exports, "pollerClose", poller_close);
}

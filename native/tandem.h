// The Linux calls that Node lacks, as thin as they are in libc: no policy, no state but an epoll handle.
// Every call answers with its result or with -errno; nothing here throws for what the kernel refuses.
#ifndef TANDEM_H
#define TANDEM_H

#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define ARGUMENTS_MAX 8

// Reads up to ARGUMENTS_MAX arguments of the running call into argv; missing ones are undefined.
void arguments(napi_env env, napi_callback_info info, napi_value argv[ARGUMENTS_MAX]);
int32_t int_argument(napi_env env, napi_value value);
// The memory of a Buffer, Uint8Array or Int32Array argument; *length gets its size in bytes (0 if it is none).
void *bytes_argument(napi_env env, napi_value value, size_t *length);
// "192.0.2.1" or "2001:db8::1" and a port as a socket address; its length, or 0 if the text is no address.
socklen_t address_argument(napi_env env, napi_value text, int32_t port, struct sockaddr_storage *out);
napi_value int_result(napi_env env, int64_t value);
// The result of a system call: its value, or -errno.
static inline napi_value call_result(napi_env env, int64_t value) {
  return int_result(env, value < 0 ? -errno : value);
}
void export_function(napi_env env, napi_value exports, const char *name, napi_callback function);

void export_socket(napi_env env, napi_value exports);
void export_poller(napi_env env, napi_value exports);
void export_timer(napi_env env, napi_value exports);
void export_process(napi_env env, napi_value exports);
void export_shared(napi_env env, napi_value exports);

#endif

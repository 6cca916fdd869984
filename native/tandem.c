#include "tandem.h"

#include <arpa/inet.h>

void arguments(napi_env env, napi_callback_info info, napi_value argv[ARGUMENTS_MAX]) {
  size_t argc = ARGUMENTS_MAX;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
}

int32_t int_argument(napi_env env, napi_value value) {
  int32_t number = 0;
  napi_get_value_int32(env, value, &number);
  return number;
}

void *bytes_argument(napi_env env, napi_value value, size_t *length) {
  void *data = NULL;
  *length = 0;
  bool is_typed_array = false;
  napi_is_typedarray(env, value, &is_typed_array);
  if (!is_typed_array) return NULL;
  napi_typedarray_type type;
  size_t elements = 0;
  napi_get_typedarray_info(env, value, &type, &elements, &data, NULL, NULL);
  *length = elements * (type == napi_int32_array || type == napi_uint32_array ? 4 : 1);
  return data;
}

socklen_t address_argument(napi_env env, napi_value text, int32_t port, struct sockaddr_storage *out) {
  char address[64];
  size_t length = 0;
  memset(out, 0, sizeof *out);
  if (napi_get_value_string_latin1(env, text, address, sizeof address, &length) != napi_ok) return 0;
  struct sockaddr_in *v4 = (struct sockaddr_in *)out;
  if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
  if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return sizeof *v6;
  }
  return 0;
}

napi_value int_result(napi_env env, int64_t value) {
  napi_value result;
  napi_create_int64(env, value, &result);
  return result;
}

void export_function(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value);
  napi_set_named_property(env, exports, name, value);
}

NAPI_MODULE_INIT() {
  export_socket(env, exports);
  export_poller(env, exports);
  export_timer(env, exports);
  export_process(env, exports);
  export_shared(env, exports);
  return exports;
}

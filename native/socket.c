// Sockets as plain file descriptors, always non-blocking and close-on-exec.
#include "tandem.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <unistd.h>

// Not in every libc's headers; values from the kernel's include/uapi/linux/in.h.
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int enable(int fd, int level, int option) {
  int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on);
}

// Binding to an address that this host does not have (yet): the virtual IP of a standby.
static int free_bind(int fd, int family) {
  return family == AF_INET ? enable(fd, IPPROTO_IP, IP_FREEBIND) : enable(fd, IPPROTO_IPV6, IPV6_FREEBIND);
}

// Accepted connections outlive the virtual IP: at a switchover it may have left before they are reset. IPv4 sends
// nothing from an address that is not this host's (ip_route_output_key_hash_rcu in net/ipv4/route.c), not even the RST,
// and the client would wait until it next sends. For a transparent socket, and those that it accepts, the check is left
// out (inet_sk_flowi_flags in include/net/inet_sock.h: FLOWI_FLAG_ANYSRC). IPv6 has no such check. The option takes
// CAP_NET_RAW or CAP_NET_ADMIN; listening can do without its help.
static void outlive_address(int fd, int family) {
  if (family == AF_INET) (void)enable(fd, IPPROTO_IP, IP_TRANSPARENT);
}

static napi_value fail_and_close(napi_env env, int fd) {
  int error = errno;
  close(fd);
  return int_result(env, -error);
}

// tcpListen(address, port, backlog) -> fd: SO_REUSEPORT (one listener per worker), IP_FREEBIND and, where it is
// permitted, IP_TRANSPARENT.
static napi_value tcp_listen(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  struct sockaddr_storage address;
  socklen_t length = address_argument(env, argv[0], int_argument(env, argv[1]), &address);
  if (length == 0) return int_result(env, -EINVAL);
  int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return int_result(env, -errno);
  outlive_address(fd, address.ss_family);
  if (enable(fd, SOL_SOCKET, SO_REUSEADDR) < 0 || enable(fd, SOL_SOCKET, SO_REUSEPORT) < 0 ||
      free_bind(fd, address.ss_family) < 0 ||
      (address.ss_family == AF_INET6 && enable(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0) ||
      bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, int_argument(env, argv[2])) < 0)
    return fail_and_close(env, fd);
  return int_result(env, fd);
}

// tcpConnect(address, port, source | undefined, sourcePort) -> fd of a socket that is connecting or connected.
// With a source and port 0 the port is chosen at connect, by 4-tuple (IP_BIND_ADDRESS_NO_PORT): no exhaustion at bind.
static napi_value tcp_connect(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  struct sockaddr_storage remote, source;
  socklen_t length = address_argument(env, argv[0], int_argument(env, argv[1]), &remote);
  if (length == 0) return int_result(env, -EINVAL);
  int fd = socket(remote.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return int_result(env, -errno);
  socklen_t source_length = address_argument(env, argv[2], int_argument(env, argv[3]), &source);
  if (source_length != 0 &&
      (enable(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT) < 0 || bind(fd, (struct sockaddr *)&source, source_length) < 0))
    return fail_and_close(env, fd);
  if (connect(fd, (struct sockaddr *)&remote, length) < 0 && errno != EINPROGRESS) return fail_and_close(env, fd);
  return int_result(env, fd);
}

// Writes a socket address as 20 bytes: family (4 or 6), 0, port (big endian), 16 bytes of address.
static void write_endpoint(const struct sockaddr_storage *address, uint8_t *out) {
  memset(out, 0, 20);
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    out[0] = 4;
    memcpy(out + 2, &v4->sin_port, 2);
    memcpy(out + 4, &v4->sin_addr, 4);
  } else if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    out[0] = 6;
    memcpy(out + 2, &v6->sin6_port, 2);
    memcpy(out + 4, &v6->sin6_addr, 16);
  }
}

// accept(listener, endpoint: Uint8Array(20)) -> fd; endpoint gets the client's address.
static napi_value accept_socket(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t length;
  uint8_t *endpoint = bytes_argument(env, argv[1], &length);
  struct sockaddr_storage address;
  socklen_t address_length = sizeof address;
  int listener = int_argument(env, argv[0]);
  int fd = accept4(listener, (struct sockaddr *)&address, &address_length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return int_result(env, -errno);
  if (length >= 20) write_endpoint(&address, endpoint);
  return int_result(env, fd);
}

static napi_value name_of(napi_env env, napi_callback_info info, int (*name)(int, struct sockaddr *, socklen_t *)) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t length;
  uint8_t *endpoint = bytes_argument(env, argv[1], &length);
  if (length < 20) return int_result(env, -EINVAL);
  struct sockaddr_storage address;
  socklen_t address_length = sizeof address;
  if (name(int_argument(env, argv[0]), (struct sockaddr *)&address, &address_length) < 0)
    return int_result(env, -errno);
  write_endpoint(&address, endpoint);
  return int_result(env, 0);
}

// localName(fd, endpoint) and remoteName(fd, endpoint): getsockname and getpeername.
static napi_value local_name(napi_env env, napi_callback_info info) { return name_of(env, info, getsockname); }
static napi_value remote_name(napi_env env, napi_callback_info info) { return name_of(env, info, getpeername); }

typedef ssize_t transfer_fn(int fd, uint8_t *data, size_t length);
static ssize_t do_receive(int fd, uint8_t *data, size_t length) { return recv(fd, data, length, 0); }
static ssize_t do_peek(int fd, uint8_t *data, size_t length) { return recv(fd, data, length, MSG_PEEK); }
static ssize_t do_send(int fd, uint8_t *data, size_t length) { return send(fd, data, length, MSG_NOSIGNAL); }

static napi_value transfer(napi_env env, napi_callback_info info, transfer_fn *function) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t size;
  uint8_t *data = bytes_argument(env, argv[1], &size);
  int32_t offset = int_argument(env, argv[2]), length = int_argument(env, argv[3]);
  if (offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return int_result(env, -EINVAL);
  return call_result(env, function(int_argument(env, argv[0]), data + offset, (size_t)length));
}

// receive(fd, bytes, offset, length) -> bytes read, 0 at the end of the stream.
static napi_value receive(napi_env env, napi_callback_info info) { return transfer(env, info, do_receive); }
// peek(fd, bytes, offset, length) -> the same, and the bytes stay where they are.
static napi_value peek(napi_env env, napi_callback_info info) { return transfer(env, info, do_peek); }
// send(fd, bytes, offset, length) -> bytes taken.
static napi_value send_bytes(napi_env env, napi_callback_info info) { return transfer(env, info, do_send); }

// shutdownWrite(fd): sends FIN; reading goes on.
static napi_value shutdown_write(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  return call_result(env, shutdown(int_argument(env, argv[0]), SHUT_WR));
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  return call_result(env, close(int_argument(env, argv[0])));
}

// setOption(fd, level, option, value: number | bytes)
static napi_value set_option(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t length;
  void *data = bytes_argument(env, argv[3], &length);
  int number = int_argument(env, argv[3]);
  if (data == NULL) data = &number, length = sizeof number;
  return call_result(env, setsockopt(int_argument(env, argv[0]), int_argument(env, argv[1]), int_argument(env, argv[2]),
                                     data, (socklen_t)length));
}

// getOption(fd, level, option, bytes) -> how many bytes the kernel wrote
static napi_value get_option(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t size;
  void *data = bytes_argument(env, argv[3], &size);
  socklen_t length = (socklen_t)size;
  int result =
      getsockopt(int_argument(env, argv[0]), int_argument(env, argv[1]), int_argument(env, argv[2]), data, &length);
  return int_result(env, result < 0 ? -errno : (int64_t)length);
}

// steerListeners(fd, program): a classic BPF program of whole instructions, 8 bytes each, picks the socket of this
// one's SO_REUSEPORT group.
static napi_value steer_listeners(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t size;
  struct sock_fprog program = {.filter = bytes_argument(env, argv[1], &size)};
  program.len = (unsigned short)(size / sizeof(struct sock_filter));
  return call_result(env, setsockopt(int_argument(env, argv[0]), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
                                     sizeof program));
}

// packetOpen(interfaceIndex) -> fd that sends whole Ethernet frames out of that interface; it receives nothing.
static napi_value packet_open(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return int_result(env, -errno);
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = int_argument(env, argv[0])};
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return fail_and_close(env, fd);
  return int_result(env, fd);
}

// netlinkOpen(protocol) -> fd of a netlink socket; what is sent goes to the kernel.
static napi_value netlink_open(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int protocol = int_argument(env, argv[0]);
  return call_result(env, socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

// rawOpen(family: 4 | 6, protocol) -> fd of a raw IP socket. Needs CAP_NET_RAW.
static napi_value raw_open(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int family = int_argument(env, argv[0]) == 4 ? AF_INET : AF_INET6;
  return call_result(env, socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, int_argument(env, argv[1])));
}

// sendTo(fd, bytes, address) -> bytes taken.
static napi_value send_to(napi_env env, napi_callback_info info) {
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  size_t size;
  uint8_t *data = bytes_argument(env, argv[1], &size);
  struct sockaddr_storage address;
  socklen_t length = address_argument(env, argv[2], 0, &address);
  if (data == NULL || length == 0) return int_result(env, -EINVAL);
  return call_result(env,
                     sendto(int_argument(env, argv[0]), data, size, MSG_NOSIGNAL, (struct sockaddr *)&address, length));
}

// receiveIpv6(fd, bytes) -> length of the packet written into bytes. A raw IPv6 socket delivers no header, so one is
// put before the payload: next header as given at the socket's opening, source, and with IPV6_RECVHOPLIMIT and
// IPV6_RECVPKTINFO hop limit and destination; what the kernel does not tell is 0.
static napi_value receive_ipv6(napi_env env, napi_callback_info info) {
  enum { HEADER = 40 };
  napi_value argv[ARGUMENTS_MAX];
  arguments(env, info, argv);
  int fd = int_argument(env, argv[0]);
  size_t size;
  uint8_t *data = bytes_argument(env, argv[1], &size);
  if (size < HEADER || size > HEADER + UINT16_MAX) return int_result(env, -EINVAL);
  memset(data, 0, HEADER);
  struct sockaddr_in6 source = {0};
  union { char bytes[256]; struct cmsghdr align; } control;
  struct iovec payload = {.iov_base = data + HEADER, .iov_len = size - HEADER};
  struct msghdr message = {.msg_name = &source, .msg_namelen = sizeof source, .msg_iov = &payload, .msg_iovlen = 1,
                           .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t length = recvmsg(fd, &message, 0);
  if (length < 0) return int_result(env, -errno);
  int protocol = 0;
  socklen_t protocol_length = sizeof protocol;
  getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_length);
  data[0] = 0x60, data[4] = (uint8_t)(length >> 8), data[5] = (uint8_t)length, data[6] = (uint8_t)protocol;
  memcpy(data + 8, &source.sin6_addr, 16);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != IPPROTO_IPV6) continue;
    if (c->cmsg_type == IPV6_HOPLIMIT) data[7] = (uint8_t)*(int *)CMSG_DATA(c);
    if (c->cmsg_type == IPV6_PKTINFO) memcpy(data + 24, &((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr, 16);
  }
  return int_result(env, HEADER + length);
}

void export_socket(napi_env env, napi_value exports) {
  export_function(env, exports, "tcpListen", tcp_listen);
  export_function(env, exports, "tcpConnect", tcp_connect);
  export_function(env, exports, "accept", accept_socket);
  export_function(env, exports, "localName", local_name);
  export_function(env, exports, "remoteName", remote_name);
  export_function(env, exports, "receive", receive);
  export_function(env, exports, "peek", peek);
  export_function(env, exports, "send", send_bytes);
  export_function(env, exports, "shutdownWrite", shutdown_write);
  export_function(env, exports, "close", close_fd);
  export_function(env, exports, "setOption", set_option);
  export_function(env, exports, "getOption", get_option);
  export_function(env, exports, "steerListeners", steer_listeners);
  export_function(env, exports, "packetOpen", packet_open);
  export_function(env, exports, "netlinkOpen", netlink_open);
  export_function(env, exports, "rawOpen", raw_open);
  export_function(env, exports, "sendTo", send_to);
  export_function(env, exports, "receiveIpv6", receive_ipv6);
}

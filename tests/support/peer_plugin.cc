// A publisher whose other side is a process of its own, for scenarios that stop and kill that
// process: records go over TCP to 127.0.0.1, and a batch counts once the peer says that it has it.
// The protocol is in peer.py.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mfn/plugin.hpp>
#include <string>
#include <string_view>

using mfn::sdk::BatchView;
using mfn::sdk::Call;
using mfn::sdk::Host;
using mfn::sdk::Status;

class Peer final : public mfn::sdk::Sink {
 public:
  static constexpr const char* kType = "peer";
  static constexpr const char* kSummary = "Writes to a TCP peer on this machine, for tests";
  static constexpr const char* kSchema = R"({
    "type": "object", "additionalProperties": false, "required": ["port"],
    "properties": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}}
  })";

  static Status Create(Host, std::string_view config, std::unique_ptr<Peer>* out) {
    auto peer = std::make_unique<Peer>();
    // Valid by the schema, so the only number is the port.
    const size_t at = config.find_first_of("0123456789");
    peer->port_ = static_cast<uint16_t>(std::atoi(std::string(config.substr(at)).c_str()));
    *out = std::move(peer);
    return Status::Ok();
  }
  ~Peer() override { Close(); }

  Status Connect(Call& call) override {
    Close();
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    if (connect(socket_, to, sizeof(address)) == 0) return Status::Ok();
    if (errno == EINPROGRESS && WaitFor(POLLOUT, call)) {
      int error = 0;
      socklen_t size = sizeof(error);
      getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == 0) return Status::Ok();
      errno = error;
    }
    return Lost("connect");
  }

  Status Write(Call& call, BatchView batch) override {
    if (socket_ < 0) return Status::NotConnected("NOT_CONNECTED", "peer: no connection");
    std::string text;
    for (uint64_t i = 0; i < batch.size(); ++i) {
      text += std::string(batch[i].payload()) + "\n";
    }
    text = std::to_string(batch.size()) + "\n" + text;
    while (!text.empty()) {
      const ssize_t sent = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent > 0) text.erase(0, static_cast<size_t>(sent));
      if (sent < 0 && errno != EAGAIN) return Lost("send");
      if (sent < 0 && !WaitFor(POLLOUT, call)) return Lost("send");
    }
    char answer = 0;
    if (!WaitFor(POLLIN, call) || recv(socket_, &answer, 1, 0) != 1 || answer != '+') {
      return Lost("wait for the answer");
    }
    return Status::Ok();
  }

 private:
  // False when the call is over first.
  bool WaitFor(short events, Call& call) {
    while (!call.over()) {
      pollfd poll_one = {socket_, events, 0};
      if (poll(&poll_one, 1, static_cast<int>(call.Slice().count())) > 0) return true;
    }
    errno = ETIMEDOUT;
    return false;
  }

  // What the peer has of the batch is not known: it will be sent again, over a new connection.
  Status Lost(const char* what) {
    const std::string message = std::string("peer: cannot ") + what + ": " + std::strerror(errno);
    Close();
    return Status::NotConnected("PEER_LOST", message);
  }

  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

  uint16_t port_ = 0;
  int socket_ = -1;
};

MFN_PLUGIN("org.mfn.tests.peer", "1.0.0", "mfnd", "MIT", Peer)

import ArgumentParser
import Glibc

/// Room for the files that a command has open at once.
enum OpenFiles {
  /// What is open besides the inputs: the standard streams, outputs, and what Dispatch has of its own.
  private static let others = 24

  /// Raises the limit of open files as far as it takes for so many inputs. One line and status 74 where the system does not
  /// let it, before any is opened.
  static func makeRoom(for inputs: Int) throws {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard inputs > 1, getrlimit(resource, &limit) == 0 else { return }
    let wanted = rlim_t(inputs + others)
    if limit.rlim_cur >= wanted { return }
    let most = limit.rlim_max
    limit.rlim_cur = min(wanted, most)
    guard most >= wanted, setrlimit(resource, &limit) == 0 else {
      throw Diagnostics.failure(
        "\(inputs) inputs are more than can be open at once, for the system allows \(most) files (ulimit -n)",
        .inputOutput)
    }
  }
}

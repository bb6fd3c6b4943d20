import Glibc

/// Why a trace could not be written.
public struct TraceWriteError: Error, CustomStringConvertible {
  /// What failed, with the path.
  public var action: String
  /// The system's error number.
  public var code: Int32

  init(_ action: String, code: Int32 = errno) {
    self.action = action
    self.code = code
  }

  /// One line: what failed and why.
  public var description: String { unsafe "\(action): \(String(cString: strerror(code)))" }
}

import Glibc

/// Why a trace could not be written.
public struct TraceWriteError: Error, CustomStringConvertible {
  /// What failed, with the path.
  public var action: String
  /// The system's error number.
  public var code: Int32
  /// Whether it was a temporary file, not the output.
  public var isOfTemporaryFile: Bool

  init(_ action: String, code: Int32 = errno, isOfTemporaryFile: Bool = false) {
    self.action = action
    self.code = code
    self.isOfTemporaryFile = isOfTemporaryFile
  }

  /// One line: what failed and why.
  public var description: String { unsafe "\(action): \(String(cString: strerror(code)))" }
}

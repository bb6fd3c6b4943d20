import ArgumentParser

/// The exit statuses of the command line; the numbers above 63 are those of sysexits.h.
enum ExitStatus {
  /// Unexplained divergences, or a regression.
  static let divergence = ExitCode(1)
  /// The input is damaged or lost events, and `--allow-loss` was not given.
  static let incomplete = ExitCode(2)
  /// A shared object is not the kernel that it says it is.
  static let selfTest = ExitCode(3)
  /// A shared object cannot be built, loaded or used.
  static let noBackend = ExitCode(4)
  /// EX_DATAERR: the input is no trace.
  static let notATrace = ExitCode(65)
  /// EX_NOINPUT: there is no such input.
  static let noInput = ExitCode(66)
  /// EX_IOERR: reading or writing failed.
  static let inputOutput = ExitCode(74)
}

import ArgumentParser
import FoundationEssentials
import Glibc
import Reporting

/// What a command shows besides what it was asked for, and how: of every command.
struct TerminalOptions: ParsableArguments {
  @Option(
    name: .customLong("color"),
    help: """
      Colour pages: auto, on a terminal unless NO_COLOR is set or TERM is dumb; always; or never. No colour says what the words do not.
      """)
  var colour = PageForm.Colour.auto

  @Flag(
    name: .shortAndLong,
    help: "Print errors alone on standard error, and no page where the output is asked for in files.")
  var quiet = false

  @Flag(
    name: .shortAndLong,
    help:
      "Say on standard error how long each phase took, and which limits cut the output short; progress is shown at once."
  )
  var verbose = false

  func validate() throws {
    if quiet, verbose { throw ValidationError("--quiet and --verbose exclude each other") }
  }

  /// Makes messages, phases and progress what the options say. To be called before anything is read.
  func takeEffect() {
    Diagnostics.level = quiet ? .quiet : verbose ? .verbose : .usual
    if !quiet { Progress.shared.begin(atOnce: verbose) }
  }

  /// The form of a page on standard output.
  var form: PageForm {
    PageForm(
      terminal: Terminal.columns(of: STDOUT_FILENO), colour: colour,
      environment: ProcessInfo.processInfo.environment)
  }

  /// Whether the page is printed: not where a file goes to standard output, which then has that alone.
  ///
  /// - Parameter files: the files that were asked for, each nil where it was not.
  func printsPage(besides files: [String?]) -> Bool {
    !files.contains(where: StandardOutput.isMeant) && (!quiet || files.allSatisfy { $0 == nil })
  }
}

/// What the system says of terminals.
enum Terminal {
  /// How wide the terminal behind a descriptor says that it is, 0 where it does not say; nil where there is none.
  static func columns(of descriptor: Int32) -> Int? {
    guard isatty(descriptor) == 1 else { return nil }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 else { return 0 }
    return Int(size.ws_col)
  }
}

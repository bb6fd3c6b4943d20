import Dispatch
import FoundationEssentials
import Glibc
import KVMTrace
import Reporting
import Synchronization

/// How far the reading is, in a line of the terminal behind standard error that is written over and erased in the end. There is none
/// for what takes less than a second, and none where standard error is no terminal or TERM is dumb.
final class Progress: Sendable {
  static let shared = Progress()

  /// The line is written five times a second, from a thread of its own: reading looks at no clock.
  private static let interval = DispatchTimeInterval.milliseconds(200)
  /// What takes less than that has none, unless phases are told, too.
  private static let delay = DispatchTimeInterval.seconds(1)

  private static let shortDelay = DispatchTimeInterval.milliseconds(50)

  private struct State {
    var timer: (any DispatchSourceTimer)?
    var reading: ReadingProgress?
    /// How many columns of the line are written.
    var drawn = 0
  }

  private let state = Mutex(State())

  /// What recordings have to be told of that are read from now on; nil where nobody looks.
  var reading: ReadingProgress? { state.withLock { $0.reading } }

  /// Begins to look.
  func begin(atOnce: Bool = false) {
    guard isatty(STDERR_FILENO) == 1, ProcessInfo.processInfo.environment["TERM"] != "dumb" else { return }
    state.withLock { state in
      guard state.timer == nil else { return }
      state.reading = ReadingProgress()
      let timer = DispatchSource.makeTimerSource()
      timer.schedule(deadline: .now() + (atOnce ? Self.shortDelay : Self.delay), repeating: Self.interval)
      timer.setEventHandler { Progress.shared.draw() }
      timer.resume()
      state.timer = timer
    }
  }

  /// Erases the line; there is none from here on. What the command prints comes behind.
  func end() {
    state.withLock { state in
      state.timer?.cancel()
      (state.timer, state.reading) = (nil, nil)
      Self.erase(&state)
    }
  }

  /// Calls `body` with the line erased, so that a message stands alone.
  func erased(_ body: () -> Void) {
    state.withLock { state in
      Self.erase(&state)
      body()
    }
  }

  private func draw() {
    state.withLock { state in
      guard let reading = state.reading else { return }
      guard let pass = reading.pass else { return Self.erase(&state) }
      let width = Terminal.columns(of: STDERR_FILENO).map { $0 > 0 ? $0 : 80 } ?? 80
      let components = (ContinuousClock.now - pass.begin).components
      let line = ProgressLine(
        path: pass.path, pass: pass.number, bytes: UInt64(clamping: pass.bytes),
        totalBytes: UInt64(clamping: pass.totalBytes), events: UInt64(clamping: pass.events),
        elapsedNs: UInt64(clamping: components.seconds) * 1_000_000_000
          + UInt64(clamping: components.attoseconds / 1_000_000_000)
      ).text(width: width)
      let blanks = String(repeating: " ", count: max(0, min(state.drawn, width - 1) - line.count))
      Self.write("\r" + line + blanks)
      state.drawn = line.count
    }
  }

  private static func erase(_ state: inout State) {
    guard state.drawn > 0 else { return }
    write("\r" + String(repeating: " ", count: state.drawn) + "\r")
    state.drawn = 0
  }

  private static func write(_ text: String) {
    var text = text
    text.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}

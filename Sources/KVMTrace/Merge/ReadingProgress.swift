internal import Synchronization

/// How far passes over recordings are, for whoever looks at it from another thread. `TraceFile.progress` takes one.
///
/// A pass tells page by page, not event by event.
public final class ReadingProgress: Sendable {
  /// A pass that is under way.
  public struct Pass: Sendable {
    /// The recording.
    public var path: String
    /// Which pass over it this is, from 1; one that was given up before its middle does not count.
    public var number: Int
    /// How much there is to read, in bytes.
    public var totalBytes: Int
    /// When it began.
    public var begin: ContinuousClock.Instant
    /// How much of it is read.
    public var bytes = 0
    /// How many events were handed on.
    public var events = 0
  }

  private struct State {
    var pass: Pass?
    /// The recording of the last pass, and how many passes there were over it.
    var path = ""
    var number = 0
  }

  private let state = Mutex(State())
  private let bytes = Atomic<Int>(0)
  private let events = Atomic<Int>(0)

  /// Nothing is read yet.
  public init() {}

  /// The pass that is under way, nil where none is.
  public var pass: Pass? {
    guard var pass = state.withLock({ $0.pass }) else { return nil }
    pass.bytes = bytes.load(ordering: .relaxed)
    pass.events = events.load(ordering: .relaxed)
    return pass
  }

  /// A pass begins; false where one is under way already.
  func begin(_ path: String, totalBytes: Int) -> Bool {
    state.withLock { state in
      guard state.pass == nil else { return false }
      if state.path != path { (state.path, state.number) = (path, 0) }
      bytes.store(0, ordering: .relaxed)
      events.store(0, ordering: .relaxed)
      state.pass = Pass(path: path, number: state.number + 1, totalBytes: totalBytes, begin: .now)
      return true
    }
  }

  func add(bytes more: Int, events count: Int) {
    bytes.add(more, ordering: .relaxed)
    events.add(count, ordering: .relaxed)
  }

  /// So much is read by now, if not more.
  func reach(_ read: Int, events count: Int) {
    bytes.max(read, ordering: .relaxed)
    events.add(count, ordering: .relaxed)
  }

  /// The pass is over.
  func end() {
    state.withLock { state in
      if let pass = state.pass, 2 * bytes.load(ordering: .relaxed) >= pass.totalBytes { state.number += 1 }
      state.pass = nil
    }
  }
}

/// A pass that tells how far it is, until deinit. To be told by one thread at a time.
final class ReadingPass {
  private let progress: ReadingProgress
  /// Where each stream is, in bytes of the file; nil where all go through the file side by side.
  private var offsets: [Int]?

  /// - Parameters:
  ///   - areas: the part of the file of each stream, each for itself; nil where all streams go through all of it.
  ///   - bytes: how long the file is.
  init?(_ progress: ReadingProgress, of path: String, areas: [Range<Int>]?, bytes: Int) {
    let total = areas.map { $0.reduce(0) { $0 + $1.count } } ?? bytes
    guard progress.begin(path, totalBytes: total) else { return nil }
    self.progress = progress
    offsets = areas?.map(\.lowerBound)
  }

  deinit { progress.end() }

  /// A stream has come to a page at `offset`, from which so many events come.
  func reach(_ offset: Int, stream: Int, events: Int) {
    guard offsets != nil else { return progress.reach(offset, events: events) }
    // A stream without a page has none of its own.
    let step = max(0, offset - offsets![stream])
    offsets![stream] += step
    progress.add(bytes: step, events: events)
  }
}

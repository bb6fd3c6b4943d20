/// A recording of another tool, as a trace.dat would hold it: event formats, and pages of the ring buffer, which are made while they
/// are read. All that comes behind, from the decoding of a page to the report, is then the same for every format.
///
/// Opening one reads what is needed to know formats, CPUs and where each CPU's events lie; every stream is then read again from its
/// beginning in each pass.
protocol TranscodedTrace: AnyObject {
  /// What the format is called, such as "perf.data".
  var format: String { get }
  /// How the events are compressed, "none" where they are not.
  var compression: String { get }
  /// What `uname` said on the traced host, "" where that is not known: `Linux HOST RELEASE VERSION MACHINE`.
  var uname: String { get }
  /// The kernel's name for the clock of the stamps, "" where that is not known.
  var clock: String { get }
  /// The size of the host's pages in bytes, nil where that is not known.
  var hostPageBytes: Int? { get }
  /// How many processors the host had, as far as that is known.
  var cpuCount: Int { get }
  /// The commands of threads.
  var commands: [Int32: String] { get }
  /// The content of the format file of each event, with its system: those of the recording, or made by `CanonicalFormats`.
  var formatTexts: [(system: String, text: String)] { get }
  /// Where the metadata is damaged or cut, and what was left out because nothing here can read it.
  var damage: [Damage] { get }
  /// Whether pieces of the file are missing between others, or are too many, nobody knows where: then nothing is certain.
  var isDisplaced: Bool { get }
  /// What of the file is passed over, without anything being missing for it, as far as opening and the passes so far show.
  var notes: [String] { get }
  /// Whether the formats are those of all events that were recorded: if not, they are those of the events that came.
  var listsKinds: Bool { get }
  /// Whether the formats have the numbers that the events were recorded with, not ones that were given to both here.
  var hasKernelNumbers: Bool { get }
  /// Why it does not tell where events were lost, so that it means nothing if it tells of none; nil where it does.
  var untoldLosses: UntoldLosses.Reason? { get }
  /// How fine the stamps are, in nanoseconds; nil where they are as the recorder read the clock.
  var stampNs: UInt64? { get }
  /// How many events were lost of CPUs that nobody tells: the losses among the events do not have their number.
  var lostSomewhere: UInt64 { get }
  /// Whether events with one stamp are in the order in which they happened, also those of different CPUs.
  var ordersEqualStamps: Bool { get }
  /// How many streams there are. Each is in the order of time by itself.
  var streamCount: Int { get }
  /// The CPU of a stream's events; of a stream with events of several CPUs that of the first.
  func cpu(ofStream stream: Int) -> UInt16
  /// The pages of a stream, from its beginning.
  func pages(ofStream stream: Int) -> any PageSupply
}

extension TranscodedTrace {
  var hostPageBytes: Int? { nil }
  var isDisplaced: Bool { false }
  var notes: [String] { [] }
  var listsKinds: Bool { true }
  var hasKernelNumbers: Bool { false }
  var untoldLosses: UntoldLosses.Reason? { nil }
  var stampNs: UInt64? { nil }
  var lostSomewhere: UInt64 { 0 }
  var ordersEqualStamps: Bool { false }

  /// The streams of a pass.
  func streams() -> [EventReader.Stream] {
    (0..<streamCount).map { stream in
      EventReader.Stream(
        source: pages(ofStream: stream), bufferIndex: 0, clock: TraceClock(clock), mayRepeat: false)
    }
  }

  /// What a trace.dat would say of its host.
  func contents(in file: FileBytes) -> TraceDatContents {
    var contents = TraceDatContents(
      version: 7, bigEndian: false, userLongSize: 8, pageBytes: PageWriter.defaultPageBytes)
    contents.compression = compression
    contents.clock = clock
    contents.uname = uname
    contents.cpuCount = cpuCount
    contents.commands = commands
    contents.damage = damage
    contents.isDisplaced = isDisplaced
    for (system, text) in formatTexts {
      let held = file.hold(text.utf8.count) { bytes in
        bytes.copyBytes(from: text.utf8)
        return true
      }
      guard let held else {
        contents.damage.append(
          Damage(offset: 0, what: "the formats of events take more than is believed; some are left out"))
        break
      }
      contents.formats.append(TraceDatContents.FormatText(system: system, text: held, offset: 0))
    }
    return contents
  }
}

/// A trace as text: what the kernel's files `trace` and `trace_pipe`, `trace-cmd report` and `perf script` print.
///
/// Lines become records of `CanonicalFormats`. There is one stream, in the order of the file: stamps of microseconds order nothing that
/// lies within one, but lines do.
final class TextTrace: TranscodedTrace {
  private let file: FileBytes
  private let contents: TextContents
  private let facts: TextFacts
  let clock: String
  let cpuCount: Int
  /// Where headers tell of more entries than there are.
  let damage: [Damage]
  let untoldLosses: UntoldLosses.Reason?
  let lostSomewhere: UInt64
  let commands: [Int32: String]
  /// The processes of threads, by thread, as far as the text tells them.
  let processes: [Int32: Int32]

  /// Looks through the text in `file`.
  init(_ file: FileBytes) throws(IngestError) {
    let survey = try TextSurvey(file)
    if let failure = file.failure { throw failure }
    self.file = file
    facts = survey.facts
    contents = TextContents(
      style: survey.style, form: survey.stamps.form, events: survey.events, firstCPU: survey.firstCPU,
      lostBefore: survey.lostBefore, isOfPerf: survey.isOfPerf, repetitions: survey.repetitions)
    clock = survey.stamps.clock
    let entries = Self.found(survey.entries, file, contents)
    damage = entries.damage.places
    untoldLosses = survey.isOfPerf ? .perfScript : entries.lacksSome ? .missingEntries : nil
    lostSomewhere = survey.lostSomewhere
    cpuCount = max(survey.facts.cpuCount, survey.cpuCount)
    commands = survey.threads.commands
    processes = survey.threads.processes
  }

  /// Of a text that has fewer entries than its headers tell of, whether they are all inside of damaged lines: takes a pass over it.
  private static func found(
    _ entries: TextEntries, _ file: FileBytes, _ contents: TextContents
  ) -> TextEntries {
    guard entries.lacksSome, contents.style != nil else { return entries }
    let pages = TextPages(file, contents)
    while pages.next() != nil {}
    var entries = entries
    entries.find(pages.linesInside)
    return entries
  }

  var format: String {
    if contents.isOfPerf { return "text of perf script" }
    return switch facts.writer {
    case .traceCmd: "text of trace-cmd report"
    case .kernel: "text of tracefs (trace)"
    default: "text of tracefs (trace_pipe)"
    }
  }

  var ordersEqualStamps: Bool { true }
  /// Nothing says which events were recorded.
  var listsKinds: Bool { false }
  var stampNs: UInt64? { contents.style == nil ? nil : contents.form.nanosecondsApart }

  var notes: [String] {
    switch contents.repetitions {
    case 0: []
    case 1: ["1 line is the same as the one before it, to the nanosecond; of lines of one event, one is read"]
    case let count:
      [
        "\(count) lines are the same as the ones before them, to the nanosecond; of lines of one event, one is read"
      ]
    }
  }

  var compression: String { "none" }
  var uname: String { facts.uname }
  var formatTexts: [(system: String, text: String)] { contents.events.formatTexts }
  var streamCount: Int { 1 }

  func cpu(ofStream stream: Int) -> UInt16 { contents.firstCPU }
  func pages(ofStream stream: Int) -> any PageSupply { TextPages(file, contents) }
}

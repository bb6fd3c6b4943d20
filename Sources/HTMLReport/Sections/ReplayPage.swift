internal import KVMTypes
internal import Pictures
internal import Reporting

/// The page of replayed recordings: a part for each, with a section for the whole and one for each VM.
struct ReplayPage {
  private let recordings: [HTMLReport.Recording]
  private var frame: PageFrame
  /// The letters that are left for pictures.
  private var budget = PictureBudget()
  /// The VMs with plots, for each recording.
  private let shown: [Set<Int>]

  init(_ recordings: [HTMLReport.Recording], maker: String) {
    self.recordings = recordings
    let paths = recordings.flatMap { $0.report.inputs.map(\.path) }
    let names = paths.map(FileName.last)
    let first = names.first ?? ""
    frame = PageFrame(
      title: "Replay of \(first)"
        + (names.count > 1 ? " and \(Quantity.count(names.count - 1, "more recording"))" : ""),
      subtitle:
        "What the host's stage-2 MMU did, as a model of it predicts from the recorded events, and what that cost.",
      maker: maker)
    let busiest = recordings.enumerated().flatMap { position, recording in
      recording.report.vms.map { (position: position, id: $0.id, faults: $0.faults?.total ?? 0) }
    }.sorted { ($1.faults, $0.position, $0.id) < ($0.faults, $1.position, $1.id) }.prefix(PageLimits.vms)
    shown = recordings.indices.map { position in Set(busiest.filter { $0.position == position }.map(\.id)) }
  }

  /// The whole page.
  mutating func markup() -> Markup {
    var sections = SectionList("h2")
    sections.add("basis", "How to read it", BasisSection.replay)
    if recordings.count > 1 {
      sections.add("all", "All recordings", TotalsSection.markup(recordings.map(\.report)))
    }
    frame.add(sections)
    for position in recordings.indices { append(position) }
    return frame.markup
  }

  private static func title(_ vm: ReplayReport.VMEntry) -> String {
    "VM \(vm.id)" + (vm.pids.first.map { " of process \($0)" } ?? "")
      + (vm.protected == true ? ", protected" : "")
  }

  private mutating func append(_ position: Int) {
    let recording = recordings[position]
    let report = recording.report
    let id = "r\(position)"
    let path = report.inputs.first?.path ?? "recording"
    var sections = SectionList("h3", ids: "\(id)-")
    sections.add("summary", "Summary", SummarySection.markup(recording))
    sections.add("losses", "What is missing", LossSection.markup(recording))
    let all = max(shown.reduce(0) { $0 + $1.count }, 1)
    let regions = min(PageLimits.regions, max(PageLimits.allRegions / all, 4))
    let vms = report.vms.sorted { ($1.faults?.total ?? 0, $0.id) < ($0.faults?.total ?? 0, $1.id) }
    for vm in vms where shown[position].contains(vm.id) {
      let subject = VMSubject(vm, recording, page: "\(id)-vm\(vm.id)", regions: regions)
      sections.add("vm\(vm.id)", Self.title(vm), VMSection.markup(subject, &budget))
    }
    sections.add(
      "others", "More VMs", OtherVMsSection.markup(vms.filter { !shown[position].contains($0.id) }))
    sections.add("divergences", "Divergences", DivergenceSection.markup(report))
    sections.add("markers", "The host's own figures", MarkerSection.markup(report))
    sections.add("agreement", "Prediction and probes", AgreementSection.markup(report))
    frame.contents.append(
      PageFrame.Entry(
        id: id, title: FileName.last(path), parts: sections.entries))
    frame.body += .element("article", ["id": id, "aria-labelledby": "\(id)-h"]) {
      Markup.element("h2", ["id": "\(id)-h"]) { path }
      sections.body
    }
  }
}

/// The letters that pictures of a page may take: who asks first is served first.
struct PictureBudget {
  private var left = PageLimits.pictureLetters

  /// Takes so many letters; false, and none, where they are not left.
  mutating func take(_ letters: Int) -> Bool {
    guard letters <= left else { return false }
    left -= letters
    return true
  }
}

/// A VM as its sections see it.
struct VMSubject {
  let vm: ReplayReport.VMEntry
  let report: ReplayReport
  let pictures: ReplayPictures.VM?
  /// What ids begin with.
  let page: String
  let time: TimeAxis
  let gaps: [Range<UInt64>]
  /// The end of the axis.
  let last: UInt64

  /// How many regions are told page by page.
  let regions: Int

  init(_ vm: ReplayReport.VMEntry, _ recording: HTMLReport.Recording, page: String, regions: Int) {
    self.vm = vm
    self.regions = regions
    report = recording.report
    pictures = recording.pictures.first { $0.id == vm.id }
    self.page = page
    let replayed = recording.report.inputs.first?.replayed ?? 0..<0
    time = TimeAxis(replayed, recording.report.inputs.first?.unit ?? .nanoseconds)
    last = replayed.upperBound
    gaps = Gaps.shown(recording.gaps)
  }

  /// The intervals of its series.
  var seriesInterval: UInt64? { report.seriesIntervalNs }

  /// Says of intervals that double with the VM's own time how long they are, and why that is not what the series have.
  func intervals(of length: UInt64) -> String {
    let words = "intervals of \(time.unit.duration(length))"
    guard let seriesInterval, seriesInterval != length else { return words }
    return words
      + ", which doubled from the VM's first event on; those of the series are of \(time.unit.duration(seriesInterval))"
  }

  /// Whether its stage 2 is pKVM's.
  var isPKVM: Bool { report.isPKVM }

  /// A plot over the time that was replayed.
  func plot(_ name: String, _ title: String, _ description: String, _ basis: Basis?) -> Plot {
    Plot(
      id: "\(page)-\(name)", title: title, description: description, basis: BasisMark.markup(basis),
      time: time,
      gaps: gaps, marks: events)
  }

  /// What happened to the VM, or to all of them, at moments that plots mark.
  private var events: [PlotMark] {
    var events = (vm.resets ?? []).map { PlotMark(kind: .event, time: $0.timeNs, label: "reset") }
    if let end = vm.endedNs { events.append(PlotMark(kind: .event, time: end, label: "end of the VM")) }
    events += (report.memoryMarkers ?? []).map { PlotMark(kind: .event, time: $0.timeNs, label: $0.point) }
    return PlotMark.joined(events, time).prefix(PageLimits.marks).map { $0 }
  }
}

/// When events are missing, as plots show it.
enum Gaps {
  /// Stretches of time, of which neighbours are one where there are too many.
  static func shown(_ gaps: [Range<Nanoseconds>]) -> [Range<UInt64>] {
    var shown = gaps.map { $0.lowerBound.rawValue..<$0.upperBound.rawValue }
    while shown.count > PageLimits.gaps {
      shown = stride(from: 0, to: shown.count, by: 2).map { first in
        shown[first].lowerBound..<shown[min(first + 1, shown.count - 1)].upperBound
      }
    }
    return shown
  }
}

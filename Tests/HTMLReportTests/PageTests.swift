import Foundation
import KVMTrace
import KVMTypes
import Pictures
@testable import Reporting
import Stage2Model
import Stage2Replay
import Testing

@testable import HTMLReport

@Suite("The page of a replay")
struct PageTests {
  /// A recording of the package, replayed with its pictures.
  private static func recording(_ name: String) throws -> HTMLReport.Recording {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let trace = try TraceFile(path: root.appendingPathComponent("traces/\(name).dat").path)
    let pictures = ReplayPictures()
    let (result, statistics) = try Replay.run(
      trace, profile: ProfileRequest(), options: ReplayOptions(), observer: pictures.observer,
      onOperation: { pictures.add($0) })
    let report = ReplayReport(trace, statistics, result)
    let last = Nanoseconds(report.inputs[0].replayed.upperBound)
    return HTMLReport.Recording(report, pictures: pictures.finish(result, last: last), gaps: result.gaps)
  }

  @Test("Faults of which the syndrome tells no level are a row of their own")
  func faultLevels() throws {
    let recording = try Self.recording("pkvm-nvhe-7.3.4-guest-damon")
    let page = HTMLReport.page([recording], maker: "a program").source
    let faults = try #require(recording.report.vms[0].faults)
    let rows = try PageReading.rows("Faults by kind and level", in: page, from: "r0-vm0")
    let levels = rows.filter { $0[0].hasPrefix("at ") }
    #expect(levels.last?[0] == "at a level that the syndrome does not tell")
    #expect(levels.last?[1] == faults.unknownLevel.map { Quantity.count($0) })
    // One of the guest's faults stops there; those of stage-1 walks do not tell.
    #expect(levels.first { $0[0] == "at level 0" }?[1] == "1")
  }

  @Test(
    "Every section is there, and its figures are those of the report",
    arguments: ["pkvm-nvhe-7.3.4-guest-damon", "kvm-vhe-7.3.4-two-guests", "pkvm-nvhe-7.3.4-page-table-thp"])
  func sections(name: String) throws {
    let recording = try Self.recording(name)
    let report = recording.report
    let page = HTMLReport.page([recording], maker: "a program").source
    #expect(page.utf8.count < 5_000_000)
    let found = try PageReading.rows("What the replay found", in: page, from: "r0-summary")
    let faults = report.vms.reduce(0) { $0 + ($1.faults?.total ?? 0) }
    #expect(PageReading.value("faults", found) == Quantity.count(faults))
    #expect(PageReading.value("unexplained divergences", found) == "0")
    for vm in report.vms {
      let id = "r0-vm\(vm.id)"
      for (kind, entry) in vm.operations {
        let rows = try PageReading.rows("Calls of stage-2 functions", in: page, from: id)
        #expect(PageReading.value(kind.name, rows) == Quantity.count(entry.count), "\(kind)")
        #expect(PageReading.value(kind.name, rows, column: 6) == Quantity.count(entry.basis[.assumed] ?? 0))
      }
      let sizes = try PageReading.rows("Sizes", in: page, from: id)
      #expect(
        PageReading.value("all bytes", sizes, column: 2)
          == vm.memory.totalBytes.map { Quantity.bytes(UInt64($0.peak)) })
      #expect(
        PageReading.value("mapping tree", sizes, column: 2)
          == vm.memory.mappingTreeBytes.map { Quantity.bytes(UInt64($0.peak)) })
      let kinds = try PageReading.rows("Faults by kind and level", in: page, from: id)
      #expect(PageReading.value("permission", kinds) == vm.faults.map { Quantity.count($0.permission) })
      let vcpus = try PageReading.rows("vCPUs", in: page, from: id)
      #expect(vcpus.map { $0[1] } == vm.vcpus.map { String($0.tid) })
      let plots =
        ["bytes", "tables", "mapped", "faults", "lock", "holds", "heat", "pages", "idle"]
        + (report.isPKVM ? ["mappings"] : [])
      for plot in plots {
        #expect(page.contains("<figure class=\"plot\" id=\"\(id)-\(plot)\""), "\(id)-\(plot)")
      }
      let lock = try #require(vm.lock)
      let holds = try PageReading.rows("The longest holds", in: page, from: id)
      #expect(holds.map { $0[2] } == lock.longestHolds.map { Quantity.duration($0.heldNs) })
      let set = try PageReading.rows("Pages that faults showed in use", in: page, from: id)
      #expect(PageReading.value("all", set) == vm.workingSet.map { Quantity.count($0.pages) })
      // Plots are as certain as the table that has their last value.
      for plot in ["pages", "idle"] {
        let figure = page.components(separatedBy: "id=\"\(id)-\(plot)\"")[1]
        let basis = try #require(figure.firstMatch(of: /class="basis (\w+)"/)).1
        #expect(PageReading.value("all", set, column: 2) == String(basis), "\(plot)")
      }
    }
    let agreement = try PageReading.rows(
      "Prediction against the probes of this trace", in: page, from: "r0-agreement")
    #expect(
      PageReading.value("map", agreement)
        == (report.agreement?.byOperation[.map]?.recorded).map { Quantity.count($0) })
    #expect(
      page.contains("id=\"r0-divergences\"")
        && page.contains("id=\"r0-markers\"") == (report.memoryMarkers != nil))
  }

  @Test("The plot of faults has as many as the report, and the one of mappings its peak")
  func drawn() throws {
    let recording = try Self.recording("pkvm-nvhe-7.3.4-guest-damon")
    let vm = recording.report.vms[0]
    let faults = recording.pictures[0].faults
    #expect(faults.bins.bins.reduce(0) { $0 + $1.total } == vm.faults?.total)
    let page = HTMLReport.page([recording], maker: "a program").source
    let blocks = try Self.plotted("r0-vm0-mappings", in: page).lines[0]
    let expected = try #require(vm.memory.series).map { Double($0.blockMappings) }
    // Of a VM that goes there is one value more, that before it went.
    let more = vm.endedNs == nil ? 0 : 1
    #expect(blocks.name == "blocks" && Array(blocks.values.dropLast(1 + more)) == expected.dropLast())
    #expect(blocks.values.last == expected.last)
  }

  @Test(
    "Memory is drawn over the interval at whose end it was so: up to the most, and down to what is left behind the VM's end"
  )
  func memoryDrawn() throws {
    let recording = try Self.recording("pkvm-nvhe-7.3.4-guest-boot")
    let (report, vm) = (recording.report, recording.report.vms[0])
    let (start, ended) = (report.inputs[0].replayed.lowerBound, try #require(vm.endedNs))
    let series = try #require(vm.memory.series)
    let interval = try #require(report.seriesIntervalNs)
    let page = HTMLReport.page([recording], maker: "a program").source
    let (times, lines) = try Self.plotted("r0-vm0-bytes", in: page)
    #expect(times.first == series[0].timeNs - interval - start)
    #expect(times.last == report.inputs[0].replayed.upperBound - start)
    let end = try #require(times.firstIndex(of: ended - start))
    let areas = lines.filter { $0.name != "at most" }
    #expect(
      areas.reduce(0) { $0 + $1.values[end - 1] } == Double(try #require(vm.memory.lastState).totalBytes))
    #expect(areas.allSatisfy { $0.values[end] == 0 } && end == times.count - 2)
    let most = try #require(lines.first { $0.name == "at most" })
    #expect(most.values.allSatisfy { $0 == Double(vm.memory.totalBytes?.peak ?? 0) })
    // In the same interval as the faults that led to it.
    let mapped = try Self.plotted("r0-vm0-mappings", in: page)
    let first = try #require(
      mapped.lines[0].values.indices.first { position in
        mapped.lines.contains { $0.name != "at most" && $0.values[position] > 0 }
      })
    let faults = recording.pictures[0].faults.bins
    let firstFault = try #require(faults.bins.firstIndex { $0[.translation] > 0 })
    #expect(mapped.times[first] <= faults.begin(of: firstFault).rawValue + faults.interval.rawValue - start)
  }

  /// What a plot shows where it is pointed at: its moments, and its lines and areas.
  private static func plotted(
    _ id: String, in page: String
  ) throws -> (
    times: [UInt64], lines: [(name: String, values: [Double])]
  ) {
    let figure = try #require(page.components(separatedBy: "<figure").first { $0.contains("id=\"\(id)\"") })
    let values = try #require(figure.firstMatch(of: /class="values">(.*?)<\/script>/)).1
    let data = try #require(try JSONSerialization.jsonObject(with: Data(values.utf8)) as? [String: Any])
    let lines = try #require(data["v"] as? [[Any]])
    return (
      try #require(data["t"] as? [Double]).map { UInt64($0) },
      try lines.map { (try #require($0[0] as? String), try #require($0[2] as? [Double])) }
    )
  }

  @Test("What a recording calls things is text in the page, whatever it is")
  func hostile() throws {
    var recording = try Self.recording("kvm-nvhe-7.2.12-page-table-thp")
    let name = "<img src=x onerror=alert(1)>\"'\u{1b}]0;x\u{7}</script><script>"
    recording.report.inputs[0].path = name
    recording.report.inputs[0].kernel = name
    for position in recording.report.vms[0].vcpus.indices {
      recording.report.vms[0].vcpus[position].command = name
    }
    recording.report.memoryMarkers?[0].point = name
    let page = HTMLReport.page([recording, recording], maker: name).source
    #expect(!page.contains("<img") && !page.contains("\u{1b}") && !page.contains("\u{7}"))
    #expect(page.components(separatedBy: "<script").count == page.components(separatedBy: "</script>").count)
    #expect(page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;\\x1b]0;x\\x07&lt;/script&gt;"))
  }

  @Test("Where nothing was recorded the page says that it is unknown, and has no plot of it")
  func unknown() throws {
    var recording = try Self.recording("kvm-nvhe-7.2.12-page-table-thp")
    recording.report.vms[0].lock = nil
    recording.report.vms[0].faults = nil
    let page = HTMLReport.page([recording], maker: "a program").source
    #expect(!page.contains("id=\"r0-vm0-lock\"") && !page.contains("id=\"r0-vm0-faults\""))
    #expect(
      page.contains(
        "Nothing recorded how long it was held or waited for: <span class=\"basis unknown\">unknown</span>"))
  }

  @Test(
    "The map says that its operations are derived or assumed and add up, and a region's list has the basis of each"
  )
  func mapBases() throws {
    let recording = try Self.recording("pkvm-nvhe-7.3.4-guest-boot")
    let page = HTMLReport.page([recording], maker: "a program").source
    let sums = try #require(recording.pictures[0].heat).sums
    #expect(sums.assumed > 0 && sums.derived + sums.assumed == sums.maps + sums.ages + sums.unmaps)
    #expect(
      page.contains(
        "\(Quantity.count(sums.derived)) of these operations are derived, \(Quantity.count(sums.assumed)) assumed. Calls that failed are left out."
      ))
    let lists = page.matches(of: /<summary>0x[0-9a-f]+: (.*?)<\/summary>/).map { String($0.1) }
    #expect(!lists.isEmpty)
    for list in lists {
      let parts = list.replacing(/,(\d)/) { String($0.1) }.components(separatedBy: ", ").dropFirst()
      #expect(parts.allSatisfy { $0 == "..." || $0.hasSuffix("ed)") }, "\(list)")
    }
  }

  @Test("What costs price and a simulation finds is on the page where somebody asked for it, with its error")
  func modelledLock() throws {
    let name = "pkvm-nvhe-7.3.4-page-table-thp"
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let trace = try TraceFile(path: root.appendingPathComponent("traces/\(name).dat").path)
    var options = ReplayOptions()
    options.measuresWork = true
    options.keepsSections = true
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options)
    let plain = ReplayReport(trace, statistics, result)
    func page(_ report: ReplayReport) -> String {
      HTMLReport.page([HTMLReport.Recording(report, pictures: [], gaps: [])], maker: "a program").source
    }
    #expect(!page(plain).contains("as the costs") && !page(plain).contains("mmu_lock, simulated"))
    var asked = plain
    asked.price(result, Calibration(name: "fitted", source: "a test", [result]).model)
    asked.simulate(result, scales: [1, 2], seed: 7)
    let source = page(asked)
    let lock = try #require(asked.vms[0].modelledLock)
    let priced = try PageReading.rows("Calls of stage-2 functions under the lock", in: source, from: "r0-vm0")
    #expect(priced.count == lock.byOperation.count && priced.allSatisfy { $0.last == "modelled" })
    let map = try #require(lock.byOperation[.map])
    let row = try #require(priced.first { $0[0] == "map" })
    #expect(row[3] == Quantity.duration(map.totalNs))
    #expect(row[5] == map.error.map { Quantity.signedPercent($0) } ?? "unknown")
    #expect(lock.byOperation.values.contains { $0.error != nil })
    let study = try #require(asked.vms[0].contention)
    let cases = try PageReading.rows("The lock with fewer and more vCPUs", in: source, from: "r0-vm0")
    #expect(cases.map { Array($0.dropLast()) } == study.cases.map(\.cells))
    #expect(
      cases.allSatisfy { $0.last == "modelled" } && source.contains("(seed 7)")
        && source.contains(study.waitsText))
  }

  @Test("What a recording says of itself is on the page, and that durations are those of its host")
  func host() throws {
    let page = HTMLReport.page([try Self.recording("pkvm-nvhe-7.3.4-guest-boot")], maker: "a program").source
    let rows = try PageReading.rows("The recording", in: page, from: "r0-summary")
    let words = try #require(PageReading.value("what it says of itself", rows))
    #expect(words.contains("host=pkvm-nvhe") && words.contains("workload=guest-boot"))
    #expect(page.contains("where that was emulated, they say nothing of hardware"))
  }

  @Test("A recording that lost events has their places, and bands in its plots")
  func losses() throws {
    var recording = try Self.recording("kvm-nvhe-7.2.12-page-table-thp")
    #expect(recording.gaps.isEmpty)
    let time = recording.report.inputs[0].replayed
    recording.report.inputs[0].losses = [.init(cpu: 1, beforeNs: time.lowerBound + 500, count: 7)]
    recording.report.inputs[0].lossCount = 3
    recording.gaps = [Nanoseconds(time.lowerBound)..<Nanoseconds(time.lowerBound + 500)]
    let page = HTMLReport.page([recording], maker: "a program").source
    let rows = try PageReading.rows("Places where events are missing", in: page, from: "r0-losses")
    #expect(rows.count == 1 && rows[0][1...2] == ["1", "7"])
    #expect(page.contains("Left out: 2 more places"))
    let plots = page.matches(of: /<figure class="plot"/).count
    let bands = page.matches(of: /<path class="gap"/).count
    // The working-set curve is not over time.
    #expect(bands == plots - recording.report.vms.count)
  }

  @Test(
    "Every figure of a VM is known as the report says, on which the page does not improve",
    arguments: ["pkvm-nvhe-7.3.4-memslot-move", "pkvm-hvhe-7.2.12-protected-guest"])
  func bases(name: String) throws {
    let recording = try Self.recording(name)
    let page = HTMLReport.page([recording], maker: "a program").source
    var seen: Set<String> = []
    for vm in recording.report.vms.prefix(PageLimits.vms) {
      let id = "r0-vm\(vm.id)"
      func expect(_ row: String, _ caption: String, _ basis: Basis?) throws {
        let rows = try PageReading.rows(caption, in: page, from: id).filter { $0[0] == row }
        #expect(!rows.isEmpty, "\(row)")
        for found in rows { #expect(found.last == basis?.name ?? "unknown", "\(row) of VM \(vm.id)") }
        seen.insert(rows.first?.last ?? "")
      }
      let memory = vm.memory
      try expect("mappings", "Sizes", memory.mappingsBasis)
      try expect("mapping tree", "Sizes", memory.mappingTreeBytesBasis)
      try expect("table pages", "Sizes", memory.tablesBasis)
      try expect("all bytes", "Sizes", memory.basis)
      try expect("faults", "The VM", vm.faultsBasis)
      if vm.faultsWithoutOperation?.contains(where: { !$0.key.isUnknown && $0.value > 0 }) == true {
        let rows = try PageReading.rows("The VM", in: page, from: id)
          .filter { $0[0] == "faults without an operation" }
        #expect(rows.contains { $0.last == vm.faultsWithoutOperationBasis?.name }, "VM \(vm.id)")
      }
      if let set = vm.workingSet, set.pages > 0 {
        try expect("all", "Pages that faults showed in use", set.basis)
        try expect("first shown by a block", "Pages that faults showed in use", set.basis)
      }
    }
    #expect(seen.isSuperset(of: ["derived", "assumed", "recorded"]), "\(seen)")
  }

  @Test("A caption stays in sight of a reader of a narrow page, whose table scrolls")
  func captions() throws {
    let page = HTMLReport.page([try Self.recording("kvm-nvhe-7.2.12-page-table-thp")], maker: "a program")
      .source
    let rule = try #require(page.firstMatch(of: /\n *caption { ([^}]*)}/)).1
    for declaration in ["position: sticky", "left: 0", "max-width: calc(100vw"] {
      #expect(rule.contains(declaration), "\(rule)")
    }
  }

  @Test("Intervals that are not those of the series say so, and why")
  func intervals() throws {
    let recording = try Self.recording("pkvm-nvhe-7.3.4-guest-damon")
    let series = try #require(recording.report.seriesIntervalNs)
    let own = recording.pictures[0].faults.bins.interval.rawValue
    #expect(own != series)
    let page = HTMLReport.page([recording], maker: "a program").source
    let map = try #require(recording.pictures[0].heat)
    let region = try #require(map.details.first)
    for (begin, own) in [
      ("In", own), ("Columns are", map.interval.rawValue), ("Columns are", region.interval.rawValue),
      ("As it was at the ends of", map.interval.rawValue),
    ] {
      #expect(own != series)
      #expect(
        page.contains(
          "\(begin) intervals of \(Quantity.duration(own)), which doubled from the VM&#39;s first event on; those of the series are of "
            + Quantity.duration(series)), "\(begin)")
    }
  }
}

import Foundation
import KVMTrace
import KVMTypes
import Reporting
import Stage2Model
import Stage2Replay
import Testing

@testable import HTMLReport

@Suite("The page of a plan")
struct CapacityPageTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// A plan of 100 VMs from recordings of the package.
  private static func plan(_ names: [String]) throws -> CapacityPlan {
    var profile = try #require(Profile.builtIn(named: "7.3-pkvm"))
    profile.ipaBits = 48
    let request = CapacityRequest(vms: 100, memoryBytes: 4 << 30, vcpus: 4, profile: profile)
    let recordings = try names.enumerated().map { position, name in
      try CapacityRecording.replay(
        TraceFile(path: root.appending(path: "traces/\(name).dat").path()), name: "\(name).dat",
        position: position, memslots: nil, host: nil
      ).0
    }
    return try CapacityPlan(request, recordings, costs: nil)
  }

  private static func page(_ plan: CapacityPlan) -> String {
    HTMLReport.page(plan, maker: "a program").source
  }

  @Test("Every case is in the table and the chart, with what it consists of for one VM and what all take")
  func cases() throws {
    let plan = try Self.plan(["pkvm-nvhe-7.3.4-guest-damon", "pkvm-nvhe-7.3.4-protected-guest"])
    let page = Self.page(plan)
    let charts = page.matches(of: /<figure class="chart".*?<\/figure>/).map { String($0.0) }
    #expect(charts.count == 2)
    for (group, chart) in zip(plan.groups, charts) {
      let cases = plan.cases.filter { $0.isProtected == group.isProtected }
      let id = group.isProtected ? "cases-protected" : "cases-all"
      let rows = try PageReading.rows("Cases", in: page, from: id)
      #expect(rows.count == cases.count && !cases.isEmpty)
      for (row, item) in zip(rows, cases) {
        let need = item.need
        let parts = [
          need.mappingTreeBytes, need.tableBytes + need.pgdBytes, need.memcacheBytes, need.hypBytes,
          item.vmTotalBytes, item.bytesPerGiB, item.allVMsBytes,
        ].map(Quantity.bytes)
        #expect(row[0].hasPrefix(item.name) && Array(row[1...7]) == parts)
        // Where nothing is touched nothing is modelled: the PGD, caches and EL2's structures are assumed.
        #expect(row.last == (item.name == "nothing touched" ? "assumed" : "modelled"), "\(item.name)")
        let all = "\(Quantity.bytes(item.vmTotalBytes)) a VM, \(Quantity.bytes(item.allVMsBytes)) all"
        #expect(chart.contains(">\(all)</text>"), "\(item.name)")
      }
      let range = try #require(group.predicted["totalBytes"])
      let words = "\(Quantity.bytes(range.least)) to \(Quantity.bytes(range.most))"
      let told = words + (range.isAllPossible ? ": unknown" : "")
      #expect(chart.contains(">\(told)</text>") && chart.contains(">one more such VM</text>"))
      #expect(chart.matches(of: /<g class="row">/).count == cases.count + 1)
      let next = try PageReading.rows("One more such VM", in: page, from: id)
      #expect(
        next.count == 3 && next[0][1].hasPrefix(words)
          && next[0][3] == (range.isAllPossible ? "unknown" : "modelled"))
    }
  }

  @Test("The parts of a bar follow each other, and are as long as they are large")
  func bars() throws {
    let plan = try Self.plan([])
    let chart = try #require(Self.page(plan).firstMatch(of: /<figure class="chart".*?<\/figure>/)).0
    let rows = chart.components(separatedBy: "<g class=\"row\">").dropFirst()
    #expect(rows.count == plan.cases.count)
    let most = try #require(plan.cases.last)
    let last = try #require(rows.last)
    let places = last.matches(of: /<rect class="area a(\d)" x="([\d.]+)%" y="\d+" width="([\d.]+)%"/)
      .compactMap { match in Double(match.2).flatMap { x in Double(match.3).map { (String(match.1), x, $0) } }
      }
    #expect(places.map(\.0) == ["0", "1", "2", "3"])
    for (first, second) in zip(places, places.dropFirst()) {
      #expect(abs(first.1 + first.2 - second.1) < 0.03)
    }
    let tree = Double(most.need.mappingTreeBytes) / Double(most.vmTotalBytes)
    let drawn = places[0].2 / places.reduce(0) { $0 + $1.2 }
    #expect(abs(tree - drawn) < 0.01)
  }

  @Test("Every recorded VM is in the tables, and its curve has what it had until the end")
  func samples() throws {
    let plan = try Self.plan(["pkvm-nvhe-7.3.4-guest-damon", "pkvm-nvhe-7.3.4-protected-guest"])
    let page = Self.page(plan)
    let peaks = try PageReading.rows("At the peak", in: page, from: "samples")
    #expect(peaks.map { $0[0] } == plan.samples.map(\.name) && plan.samples.count > 2)
    #expect(peaks.map { $0[8] } == plan.samples.map { Quantity.bytes($0.peak.totalBytes) })
    for sample in plan.samples {
      let id = "curve-\(sample.input)-\(sample.vm)"
      let figure = try #require(page.components(separatedBy: "<figure").first { $0.contains("id=\"\(id)\"") })
      let values = try #require(figure.firstMatch(of: /class="values">(.*?)<\/script>/)).1
      let data = try #require(try JSONSerialization.jsonObject(with: Data(values.utf8)) as? [String: Any])
      let times = try #require(data["t"] as? [Double])
      #expect(
        times == times.sorted() && times.last == Double(sample.curve.recordedNs)
          && Set(times).count == times.count)
      let series = try #require(data["v"] as? [[Any]])
      let last = series.filter { $0[0] as? String != "SecPageTables" }.compactMap {
        ($0[2] as? [Double])?.last
      }
      #expect(last.reduce(0, +) == sample.curve.points.last.map { Double($0.totalBytes) })
      let words =
        switch sample.curve.settled {
        case .settled: ": settled"
        case .growing: ": not settled, so that its peak is a lower bound"
        case .unknown: ": whether it had settled is unknown"
        }
      #expect(figure.contains("\(words)</title>"))
    }
    let group = plan.groups[0]
    let spread = try PageReading.rows("For each GiB of RAM, over 1 VM", in: page, from: "samples")
    #expect(spread.map { $0[0] } == group.distribution.map(\.word))
    #expect(spread.map { $0[5] } == group.distribution.map { $0.text($0.mean) })
  }

  @Test("Locks are told as simulated, and what durations of an emulated host say; every assumption is listed")
  func locks() throws {
    let plan = try Self.plan(["pkvm-nvhe-7.3.4-guest-damon"])
    let page = Self.page(plan)
    let rows = try PageReading.rows(
      "mmu_lock of each recorded VM, with the planned vCPUs", in: page, from: "locks")
    #expect(rows.count == plan.mmuLock.count && !rows.isEmpty)
    #expect(rows[0][4] == plan.mmuLock[0].writeUtilisation.map(Quantity.share) && rows[0].last == "modelled")
    let lock = try #require(plan.hostLock)
    let host = try PageReading.rows("The host lock", in: page, from: "locks")
    let held = PageReading.value("held by one VM", host)
    #expect(
      held
        == (lock.isUnknown
          ? "unknown" : "\(Quantity.share(lock.perVMLeast)) to \(Quantity.share(lock.perVMMost))"))
    #expect(page.contains("where these were emulated, they say nothing of hardware"))
    let items = page.components(separatedBy: "id=\"assumptions\"")[1].matches(of: /<li>/).count
    #expect(items == plan.assumptions.count)
  }

  @Test("Without a recording the page has the bounds alone")
  func bounds() throws {
    let page = Self.page(try Self.plan([]))
    #expect(page.contains("No recording: the bounds alone.") && !page.contains("id=\"curves\""))
    #expect(!page.contains("One more such VM") && !page.contains("one more such VM"))
    #expect(page.contains("No recording tells how long locks are held."))
  }

  @Test("A curve is of the recorded kernel, and as certain as that, whatever kernel is planned for")
  func curveBasis() throws {
    let name = "pkvm-nvhe-7.3.4-guest-damon"
    func sample(_ host: ProfileRequest?) throws -> VMSample {
      let trace = try TraceFile(path: Self.root.appending(path: "traces/\(name).dat").path())
      let recording = try CapacityRecording.replay(
        trace, name: name, position: 0, memslots: nil, host: host
      ).0
      return try #require(recording.samples.first)
    }
    var host = ProfileRequest()
    host.kernel = NamedKernel("6.14")
    let (own, other) = (try sample(nil), try sample(host))
    #expect(other.isRange && other.curve.basis == own.curve.basis && own.curve.basis == own.basis)
    let rows = try PageReading.rows(
      "All bytes as recorded, and what was touched, at shares of the VM&#39;s time",
      in: Self.page(try Self.plan([name])), from: "curves")
    #expect(rows.map(\.last) == [own.curve.basis?.name])
  }
}

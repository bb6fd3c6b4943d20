import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

/// Lives as long as the tables that have it.
private final class Witness {}

/// A table as somebody outside might write it: pages in a dictionary, and no block.
private struct PageDictionary: ~Copyable, Stage2Backend {
  private struct Page {
    var prot: Stage2Prot
    var young = true
  }

  private let pageSize: PageSize
  private let witness: Witness?
  private var pages: [GFN: Page] = [:]

  init(_ pageSize: PageSize, _ witness: Witness? = nil) {
    self.pageSize = pageSize
    self.witness = witness
  }

  private func frames(_ ipa: IPA, _ size: UInt64) -> Range<GFN> {
    let first = ipa.gfn(pageSize)
    return first..<first + size >> pageSize.shift
  }

  mutating func map(_ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex) -> KernelResult {
    var gfn = ipa.gfn(pageSize)
    let end = gfn + max(size >> pageSize.shift, 1)
    if pages[gfn]?.prot == prot { return .again }
    while gfn < end {
      pages[gfn] = Page(prot: prot)
      gfn = gfn + 1
    }
    return .success
  }

  mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult {
    let frames = frames(ipa, size)
    pages = pages.filter { !frames.contains($0.key) }
    return .success
  }

  mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    for gfn in pages.keys where frames(ipa, size).contains(gfn) { pages[gfn]?.prot.remove(.write) }
    return .success
  }

  mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    var young = false
    for gfn in pages.keys where frames(ipa, size).contains(gfn) {
      young = young || pages[gfn]?.young == true
      if markOld { pages[gfn]?.young = false }
    }
    return young
  }

  mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    pages[ipa.gfn(pageSize)]?.prot.formUnion(prot)
    pages[ipa.gfn(pageSize)]?.young = true
    return .success
  }

  mutating func mkyoung(_ ipa: IPA) { pages[ipa.gfn(pageSize)]?.young = true }

  borrowing func walk(_ ipa: IPA) -> Stage2Walk {
    pages[ipa.gfn(pageSize)].map { .leaf(level: .l3, prot: $0.prot, young: $0.young) } ?? .invalid(level: .l3)
  }
}

@Suite("A backend of somebody else's")
struct BackendSeamTests {
  /// What an operation is, whatever came of it.
  private struct Call: Hashable {
    var time: Nanoseconds
    var kind: OperationKind
    var address: IPA
    var size: UInt64

    init(_ operation: Stage2Operation) {
      (time, kind) = (operation.time, operation.kind)
      (address, size) = (operation.address, operation.size)
    }
  }

  @Test("It is driven through a recording by the same callers, and reported beside the model")
  func besideTheModel() throws {
    let name = "kvm-nvhe-7.3.4-page-table.dat"
    var calls: [Call] = []
    let model = try Replay.run(
      Recordings.trace(name), profile: ProfileRequest(), options: ReplayOptions()
    ) { calls.append(Call($0)) }.result
    var others: [Call] = []
    let other = try Replay.run(
      Recordings.trace(name), profile: ProfileRequest(), options: ReplayOptions(),
      onOperation: { others.append(Call($0)) }
    ) { PageDictionary($0.geometry.pageSize) }.result
    #expect(calls.count > 1000 && others == calls)
    #expect(other.vms.count == model.vms.count)
    for (mine, theirs) in zip(model.vms, other.vms) {
      #expect(theirs.operations.mapValues(\.count) == mine.operations.mapValues(\.count))
      // It accounts for no memory, and says so.
      #expect(theirs.hypercalls == nil && theirs.memory.totalBytes.live == 0)
    }
    let agreement = try #require(other.agreement)
    #expect(agreement.scores[.map].map { $0.recorded > 0 && 10 * $0.matched > 9 * $0.recorded } == true)
  }

  @Test("However many threads there are, the replay says the same", arguments: [1, 7, 1 << 12])
  func jobs(lag: Int) throws {
    var found: [(operations: [Stage2Operation], result: ReplayResult)] = []
    for jobs in [1, 2, 5] {
      var options = ReplayOptions()
      (options.jobs, options.lag) = (jobs, lag)
      var operations: [Stage2Operation] = []
      let result = try Replay.run(
        Recordings.trace(Self.twoGuests), profile: ProfileRequest(), options: options
      ) { operations.append($0) }.result
      found.append((operations, result))
    }
    #expect(found[0].result.vms.count > 1)
    for other in found.dropFirst() {
      #expect(other.operations == found[0].operations)
      #expect(other.result.divergences == found[0].result.divergences)
      #expect(other.result.agreement?.scores == found[0].result.agreement?.scores)
      #expect(other.result.vms.map(\.operations) == found[0].result.vms.map(\.operations))
      #expect(
        other.result.vms.map(\.memory.totalBytes.peak) == found[0].result.vms.map(\.memory.totalBytes.peak))
    }
  }

  @Test("Its tables go with the replay", arguments: [1, 3])
  func gone(jobs: Int) throws {
    weak var last: Witness?
    do {
      let witness = Witness()
      last = witness
      var options = ReplayOptions()
      options.jobs = jobs
      let result = try Replay.run(
        Recordings.trace(Self.twoGuests), profile: ProfileRequest(), options: options, onOperation: nil
      ) { PageDictionary($0.geometry.pageSize, witness) }.result
      #expect(result.vms.count > 1)
    }
    #expect(last == nil)
  }

  private struct Enough: Error {}

  @Test("Who has enough ends a replay while VMs are executed", arguments: [1, 3])
  func stopped(jobs: Int) throws {
    var options = ReplayOptions()
    options.jobs = jobs
    var count = 0
    #expect(throws: Enough.self) {
      _ = try Replay.run(Recordings.trace(Self.twoGuests), profile: ProfileRequest(), options: options) { _ in
        count += 1
        if count == 5000 { throw Enough() }
      }
    }
    #expect(count == 5000)
  }

  private static let twoGuests = "pkvm-nvhe-7.3.4-two-guests.dat"
}

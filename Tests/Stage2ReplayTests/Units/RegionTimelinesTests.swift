import KVMTrace
import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Replay

@Suite("Timelines of regions")
struct RegionTimelinesTests {
  static func node(
    _ kind: TimelineNode.Kind, _ frames: Range<UInt64>, at sequence: UInt64, entry: UInt64 = 0, tid: Int32 = 1
  ) -> TimelineNode {
    var node = TimelineNode(
      kind, FrameRange(start: GFN(frames.lowerBound), end: GFN(frames.upperBound)), by: ThreadID(tid),
      at: Sequence(sequence))
    node.entry = Sequence(entry)
    return node
  }

  static func fault(_ gfn: UInt64, at sequence: UInt64, entry: UInt64 = 0, tid: Int32 = 1) -> TimelineNode {
    node(.translationFault, gfn..<gfn + 1, at: sequence, entry: entry, tid: tid)
  }

  /// Nothing is held any more.
  static func expectEmpty(_ timelines: borrowing RegionTimelines) {
    #expect(timelines.count == 0)
    #expect(timelines.chainCount == 0)
    #expect(timelines.pageCount == 0)
  }

  @Test(
    "Everything is given back once nothing waits, whatever the order",
    arguments: [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
  func givenBack(order: [Int]) {
    var timelines = RegionTimelines(pageSize: .size4K)
    let faults = [(UInt64(1), 0), (1, 1), (600, 0)].enumerated().map { sequence, place in
      timelines.append(
        fault: Self.fault(place.0, at: UInt64(sequence), tid: Int32(place.1)), vm: VMIndex(0),
        canHoldBlock: true)
    }
    timelines.append(range: Self.node(.unmap, 0..<2048, at: 9), vm: VMIndex(0))
    #expect(timelines.count == 5)
    #expect(timelines.chainCount == 2)
    // The only fault of its region is not filed under its page.
    #expect(timelines.pageCount == 1)
    for index in order { timelines.release(fault: faults[index], vm: VMIndex(0)) }
    Self.expectEmpty(timelines)
  }

  @Test("A range concerns only regions in which a fault waits, of its own VM")
  func ranges() {
    var timelines = RegionTimelines(pageSize: .size4K)
    let fault = timelines.append(fault: Self.fault(5, at: 1), vm: VMIndex(3), canHoldBlock: true)
    for range in [512..<UInt64(1024), 0..<5, 0..<1 << 40] {
      timelines.append(range: Self.node(.age, range, at: 2), vm: VMIndex(2))
    }
    #expect(timelines.count == 1)
    timelines.append(range: Self.node(.age, 512..<1024, at: 2), vm: VMIndex(3))
    #expect(timelines.count == 1)
    timelines.append(range: Self.node(.age, 0..<5, at: 2), vm: VMIndex(3))
    timelines.append(range: Self.node(.unmap, 0..<1 << 40, at: 3), vm: VMIndex(3))
    #expect(timelines.count == 3)
    #expect(timelines[timelines[fault].next].kind == .age)
    timelines.release(fault: fault, vm: VMIndex(3))
    Self.expectEmpty(timelines)
  }

  @Test("Faults on one page are linked, across faults on others")
  func samePage() {
    var timelines = RegionTimelines(pageSize: .size4K)
    let first = timelines.append(fault: Self.fault(5, at: 1), vm: VMIndex(0), canHoldBlock: false)
    let other = timelines.append(fault: Self.fault(6, at: 2), vm: VMIndex(0), canHoldBlock: false)
    let second = timelines.append(fault: Self.fault(5, at: 3), vm: VMIndex(0), canHoldBlock: false)
    #expect(timelines[first].nextOnPage == second)
    #expect(timelines[first].next == other)
    #expect(timelines[other].nextOnPage == TimelineNode.none)
  }

  @Test("Two vCPUs race on a page where neither is known to have finished before the other began")
  func races() {
    var timelines = RegionTimelines(pageSize: .size4K)
    let first = timelines.append(
      fault: Self.fault(5, at: 10, entry: 5, tid: 1), vm: VMIndex(0), canHoldBlock: false)
    let second = timelines.append(
      fault: Self.fault(5, at: 11, entry: 6, tid: 2), vm: VMIndex(0), canHoldBlock: false)
    #expect(timelines[first].isRaced)
    #expect(timelines[second].followsRival && !timelines[second].isRaced)
    // What is open is known to the caller.
    timelines.markRace(first, second)
    #expect(timelines[second].isRaced)
    timelines.close(first, at: Sequence(12))
    timelines.close(second, at: Sequence(13))
    // This one entered after both.
    let third = timelines.append(
      fault: Self.fault(5, at: 20, entry: 14, tid: 3), vm: VMIndex(0), canHoldBlock: false)
    #expect(!timelines[third].isRaced && !timelines[third].followsRival)
    // Another page of a region that can hold a block counts, of one that cannot does not.
    let page = timelines.append(
      fault: Self.fault(6, at: 21, entry: 1, tid: 4), vm: VMIndex(0), canHoldBlock: false)
    #expect(!timelines[page].followsRival)
    let block = timelines.append(
      fault: Self.fault(7, at: 22, entry: 1, tid: 5), vm: VMIndex(0), canHoldBlock: true)
    #expect(timelines[block].followsRival && timelines[page].isRaced)
  }

  @Test("Without kvm_entry the same faults race as if each looked back", arguments: 0..<UInt64(8))
  func unordered(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let threads = Int32([1, 2, 3, 8][Int(seed % 4)])
    var plain = RegionTimelines(pageSize: .size4K)
    var quick = RegionTimelines(pageSize: .size4K, seesEntries: false)
    let vm = VMIndex(3)
    var waiting: [(TimelineNode.Index, TimelineNode.Index)] = []
    var racedCount = 0
    for step in 1..<UInt64(600) {
      // Some vCPUs' entries are known, and some regions cannot hold a block.
      let entry = random.below(20 as UInt64) == 0 ? step - min(step, 5) : 0
      let gfn = random.below(3 as UInt64) * 512 + random.below(4 as UInt64)
      let fault = Self.fault(
        gfn, at: step, entry: entry, tid: 1 + Int32(random.below(UInt64(threads))))
      let canHoldBlock = random.below(4 as UInt64) == 0
      let first = plain.append(fault: fault, vm: vm, canHoldBlock: canHoldBlock)
      let second = quick.append(fault: fault, vm: vm, canHoldBlock: canHoldBlock)
      waiting.append((first, second))
      if random.below(30 as UInt64) == 0 {
        plain.append(range: Self.node(.unmap, 0..<1024, at: step), vm: vm)
        quick.append(range: Self.node(.unmap, 0..<1024, at: step), vm: vm)
      }
      for (first, second) in waiting {
        let isRaced = plain.isRaced(first, of: vm)
        racedCount += isRaced ? 1 : 0
        #expect(quick.isRaced(second, of: vm) == isRaced)
        #expect(quick[second].followsRival == plain[first].followsRival)
      }
      while waiting.count > 40 || random.below(3 as UInt64) == 0, !waiting.isEmpty {
        let (first, second) = waiting.remove(at: random.below(min(waiting.count, 3)))
        plain.release(fault: first, vm: vm)
        quick.release(fault: second, vm: vm)
      }
    }
    #expect(threads == 1 ? racedCount == 0 : racedCount > 100)
    for (first, second) in waiting {
      plain.release(fault: first, vm: vm)
      quick.release(fault: second, vm: vm)
    }
    Self.expectEmpty(plain)
    Self.expectEmpty(quick)
  }

  @Test("A million faults on a few pages take no more nodes than wait at a time")
  func memory() {
    var timelines = RegionTimelines(pageSize: .size4K)
    var waiting: [TimelineNode.Index] = []
    var highest: Int32 = 0
    for step in 0..<UInt64(1_000_000) {
      let vm = VMIndex(Int(step % 3))
      let index = timelines.append(
        fault: Self.fault(step % 7 * 300, at: step, entry: step), vm: vm, canHoldBlock: true)
      timelines.close(index, at: Sequence(step))
      if step % 5 == 0 { timelines.append(range: Self.node(.age, 0..<4096, at: step), vm: vm) }
      highest = max(highest, index.rawValue)
      waiting.append(index)
      if waiting.count == 60 {
        for (offset, index) in waiting.enumerated() {
          timelines.release(fault: index, vm: VMIndex(Int(step - 59 + UInt64(offset)) % 3))
        }
        waiting = []
      }
    }
    for (offset, index) in waiting.enumerated() {
      timelines.release(fault: index, vm: VMIndex((1_000_000 - waiting.count + offset) % 3))
    }
    Self.expectEmpty(timelines)
    #expect(highest < 200)
  }

  @Test("Equal frames of thousands of VMs are kept apart")
  func manyVMs() {
    var timelines = RegionTimelines(pageSize: .size4K)
    let top = UInt64(1) << 40 - 1
    let faults = (0..<5000).map { vm in
      timelines.append(fault: Self.fault(top, at: UInt64(vm)), vm: VMIndex(vm), canHoldBlock: true)
    }
    #expect(timelines.chainCount == 5000)
    for (vm, fault) in faults.enumerated() { timelines.release(fault: fault, vm: VMIndex(vm)) }
    Self.expectEmpty(timelines)
  }
}

@Suite("Regions that faults touch")
struct RegionRegisterTests {
  @Test("A region is taken in once, and found from each of its frames")
  func insert() {
    var regions = RegionRegister(pageSize: .size4K)
    let first = regions.insert(GFN(0x40000), lastUnmap: .start)
    #expect(first.isNew)
    let again = regions.insert(GFN(0x401ff), lastUnmap: .start)
    #expect(again.region == first.region && !again.isNew)
    let other = regions.insert(GFN(0x40200), lastUnmap: .start)
    #expect(other.isNew && other.region != first.region)
    #expect(regions.insert(GFN(0x40000), lastUnmap: .start).region == first.region)
  }

  @Test("What happens to a range reaches the regions in it, however long it is", arguments: [0x201, 1 << 30])
  func update(last: UInt64) {
    var regions = RegionRegister(pageSize: .size4K)
    let inside = [GFN(0x40000), GFN(0x40200)].map { regions.insert($0, lastUnmap: .start).region }
    let outside = regions.insert(GFN(0x1000), lastUnmap: .start).region
    regions.update(in: 0x200...last) { $0.lastUnmap = Sequence(9) }
    #expect(inside.allSatisfy { regions[$0].lastUnmap == Sequence(9) })
    #expect(regions[outside].lastUnmap == .start)
  }
}

@Suite("Faults that wait")
struct FaultSlabTests {
  static func fault(_ page: IPA) -> FaultWindow {
    FaultWindow(
      event: GuestFault(ipa: page, esr: ESR(0), far: GuestVA(0), pc: GuestVA(0)), page: page,
      access: FaultAccess(kind: .translation, level: .l3, isWrite: false, isExec: false, isStage1Walk: false),
      origin: FaultOrigin(
        cpu: CPUIndex(0), tid: ThreadID(1), vcpu: 0, place: ThreadPlace(windows: 0, notifiers: 0)), slot: nil,
      begin: Sequence(1))
  }

  @Test("The place of a fault that is decided is given to another one")
  func reuse() {
    var slab = FaultSlab()
    let ids = (0..<3).map { slab.insert(Self.fault(IPA(UInt64($0) << 12))) }
    #expect(slab.count == 3)
    slab.remove(ids[1])
    #expect(slab.count == 2)
    let next = slab.insert(Self.fault(IPA(0x9000)))
    #expect(next == ids[1])
    #expect(slab[ids[0]].page == IPA(0) && slab[next].page == IPA(0x9000) && slab[ids[2]].page == IPA(0x2000))
  }
}

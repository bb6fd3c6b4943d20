import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// A working set with the regions whose pages it stamps.
struct TouchedMemory: ~Copyable {
  private var set = WorkingSet()
  private var regions: GuestRegions

  init(pageSize: PageSize) { regions = GuestRegions(pageSize: pageSize) }

  mutating func touch(
    _ gfn: GFN, isBlock: Bool, isFixed: Bool = false, at time: Nanoseconds, interval: Int
  ) {
    touch(gfn, level: isBlock ? .l2 : .l3, isFixed: isFixed, at: time, interval: interval)
  }

  mutating func touch(
    _ gfn: GFN, level: TranslationLevel, isFixed: Bool = false, at time: Nanoseconds, interval: Int
  ) {
    let block = regions.block(gfn)
    if regions.index(of: block) == nil { regions.append(RegionIndex(regions.count), block: block) }
    set.touch(
      gfn, in: regions.index(of: block)!, of: &regions, level: level, isFixed: isFixed, at: time,
      interval: interval)
  }

  func result(last: Int) -> WorkingSetResult { set.result(last: last) }
}

@Suite("Pages in use")
struct WorkingSetTests {
  @Test("A page counts once an interval, and once as new")
  func pages() {
    var set = TouchedMemory(pageSize: .size4K)
    for (gfn, interval) in [(5, 0), (5, 0), (6, 0), (5, 3), (600, 3)] {
      set.touch(GFN(UInt64(gfn)), isBlock: false, at: Nanoseconds(UInt64(interval * 10)), interval: interval)
    }
    let result = set.result(last: 4)
    #expect(result.pages == 3)
    #expect(result.samples == [0: TouchSample(touched: 2, first: 2), 3: TouchSample(touched: 2, first: 1)])
    #expect(result.idle == [1: 2, 4: 1])
    #expect(
      result.firstTouches == [
        FirstTouch(gfn: GFN(0), time: Nanoseconds(0)), FirstTouch(gfn: GFN(512), time: Nanoseconds(30)),
      ])
  }

  @Test("What is touched behind the last interval was touched at the end")
  func behindTheEnd() {
    var set = TouchedMemory(pageSize: .size4K)
    for interval in [1, 2, 5] {
      set.touch(
        GFN(UInt64(interval)), isBlock: false, at: Nanoseconds(UInt64(interval * 10)), interval: interval)
    }
    #expect(set.result(last: 2).idle == [0: 2, 1: 1])
  }

  @Test("A block of PUD_SIZE brings all that was not shown before, and its pages are told apart no more")
  func puds() {
    var set = TouchedMemory(pageSize: .size4K)
    set.touch(GFN(3), level: .l3, at: Nanoseconds(0), interval: 0)
    set.touch(GFN(5120), level: .l2, at: Nanoseconds(0), interval: 0)
    set.touch(GFN(9000), level: .l1, at: Nanoseconds(10), interval: 1)
    set.touch(GFN(9001), level: .l1, at: Nanoseconds(10), interval: 1)
    set.touch(GFN(3), level: .l3, at: Nanoseconds(20), interval: 2)
    set.touch(GFN(1 << 18), level: .l3, at: Nanoseconds(20), interval: 2)
    let result = set.result(last: 2)
    let rest = 1 << 18 - 513
    #expect(result.pages == 1 << 18 + 1 && result.blockPages == 512 + rest)
    #expect(
      result.samples == [
        0: TouchSample(touched: 513, first: 513), 1: TouchSample(touched: rest, first: rest),
        2: TouchSample(touched: rest + 1, first: 1),
      ])
    #expect(result.idle == [0: rest + 1, 2: 513])
  }

  @Test("A block brings all its pages, a page of it later only itself")
  func blocks() {
    var set = TouchedMemory(pageSize: .size16K)
    set.touch(GFN(2048 * 3 + 7), isBlock: true, at: Nanoseconds(0), interval: 0)
    set.touch(GFN(2048 * 3 + 9), isBlock: false, at: Nanoseconds(0), interval: 2)
    let result = set.result(last: 2)
    #expect(result.pages == 2048)
    #expect(result.idle == [0: 1, 2: 2047])
    #expect(result.samples[2] == TouchSample(touched: 1, first: 0))
  }

  @Test("Faults show pages in use: a map, a relaxation, an access flag; one that came to nothing does not")
  func faults() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, 0x900_0000)
    story.wait(microseconds: 1000)
    story.handleAccessFault(.vcpu0, story.memory)
    let set = try story.replay().result.vms[0].workingSet
    #expect(set.pages == 1)
    #expect(set.samples.values.reduce(0) { $0 + $1.touched } == 2)
    #expect(set.samples.values.reduce(0) { $0 + $1.first } == 1)
  }
}

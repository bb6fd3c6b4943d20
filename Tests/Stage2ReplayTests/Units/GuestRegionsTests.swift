import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Regions of guest memory")
struct GuestRegionsTests {
  /// Regions that begin at block 7.
  static func regions(_ count: Int, pageSize: PageSize = .size4K) -> GuestRegions {
    var regions = GuestRegions(pageSize: pageSize)
    for number in 0..<count { regions.append(RegionIndex(number), block: 7 + UInt64(number)) }
    return regions
  }

  @Test("A region fills one line of the cache")
  func size() { #expect(MemoryLayout<GuestRegion>.stride == 64) }

  @Test("What is known of one page stays when a second one comes, and the others are unknown")
  func secondPage() {
    var regions = Self.regions(2)
    let region = RegionIndex(1)
    regions.updatePage(5, of: region) { $0.stamp = 3 }
    #expect(regions.page(5, of: region).stamp == 3)
    #expect(regions.page(0, of: region) == GuestPage())
    regions.updatePage(6, of: region) { $0.knowledge = .isAssumed }
    #expect(regions.page(5, of: region).stamp == 3 && regions.page(6, of: region).knowledge == .isAssumed)
    #expect(regions.page(511, of: region) == GuestPage())
    #expect(regions.page(5, of: RegionIndex(0)) == GuestPage())
  }

  @Test("What an earlier epoch established of pages does not hold in the next one", arguments: [1, 2])
  func epochs(pages: Int) {
    var regions = Self.regions(1)
    let region = RegionIndex(0)
    regions.enter(epoch: Epoch(0), region)
    for page in 0..<pages {
      regions.updatePage(page, of: region) { $0.knowledge = [.isEstablished, .mayBeOld] }
    }
    regions.enter(epoch: Epoch(0), region)
    #expect(regions.page(0, of: region).knowledge == [.isEstablished, .mayBeOld])
    regions.enter(epoch: Epoch(2), region)
    for page in 0..<pages { #expect(regions.page(page, of: region).knowledge == .mayBeOld) }
  }

  @Test("The last eight events are kept, the oldest first", arguments: 0...40)
  func events(count: Int) {
    var regions = Self.regions(1)
    for number in 0..<count {
      let event = RegionEvent(
        time: Nanoseconds(UInt64(number)), ipa: IPA(0), pages: 1, tid: ThreadID(1), cpu: CPUIndex(0),
        kind: .unmap,
        level: nil, access: .none, effect: .asked)
      regions.append(event, to: RegionIndex(0))
    }
    let times = regions.recentEvents(RegionIndex(0)).map { Int($0.time.rawValue) }
    #expect(times == Array(max(0, count - GuestRegions.eventsMax)..<count))
  }

  @Test("Those in a range are found, however long it is", arguments: [9, 1 << 40])
  func ranges(last: UInt64) {
    var regions = Self.regions(3)
    var found: [RegionIndex] = []
    regions.forEach(in: FrameRange(start: GFN(8 << 9), end: GFN(last << 9 + 1))) { region, _ in
      found.append(region)
    }
    #expect(found == [RegionIndex(1), RegionIndex(2)])
  }
}

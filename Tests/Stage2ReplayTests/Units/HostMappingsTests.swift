import KVMTypes
import Testing

@testable import Stage2Replay

/// The host's mappings of a VM whose regions are touched when they are learned of.
struct MappedByHost: ~Copyable {
  private var mappings: HostMappings
  private var regions: GuestRegions

  init(pageSize: PageSize) {
    mappings = HostMappings(pageSize: pageSize)
    regions = GuestRegions(pageSize: pageSize)
  }

  /// What is known of a frame's region, which is touched for that.
  subscript(gfn: GFN) -> MappingSize? {
    mutating get { regions[touch(gfn)].host.size }
  }

  mutating func learn(_ gfn: GFN, _ size: MappingSize) { regions[touch(gfn)].host.learn(size) }

  mutating func isInPages(_ gfn: GFN) -> Bool { regions[touch(gfn)].host.isInPages }

  mutating func unmap(_ frames: FrameRange, isReclaimed: Bool = false) {
    mappings.unmap(frames, isReclaimed: isReclaimed, &regions)
  }

  mutating func age(_ frames: FrameRange) { mappings.age(frames, &regions) }

  private mutating func touch(_ gfn: GFN) -> RegionIndex {
    let block = regions.block(gfn)
    if let known = regions.index(of: block) { return known }
    let region = RegionIndex(regions.count)
    regions.append(region, block: block)
    regions[region].host = mappings.touch(block)
    return region
  }
}

@Suite("Sizes of the host's mappings")
struct HostMappingsTests {
  static let assumedPage = MappingSize(level: .l3, basis: .assumed)
  static let assumedBlock = MappingSize(level: .l2, basis: .assumed)

  static func frames(_ start: UInt64, _ end: UInt64) -> FrameRange {
    FrameRange(start: GFN(start), end: GFN(end))
  }

  /// What is known of the regions from frame 512 on once the first two were learned and something was unmapped.
  static func after(_ first: MappingSize, _ frames: FrameRange) -> [MappingSize?] {
    var host = MappedByHost(pageSize: .size4K)
    host.learn(GFN(512), first)
    host.learn(GFN(1024), .page)
    host.unmap(frames)
    return [host[GFN(600)], host[GFN(1024 + 511)]]
  }

  @Test("A region is known by any of its frames, its neighbours are not")
  func region() {
    var host = MappedByHost(pageSize: .size4K)
    host.learn(GFN(700), .block)
    #expect(host[GFN(512)] == .block)
    #expect(host[GFN(1023)] == .block)
    #expect(host[GFN(511)] == nil)
    #expect(host[GFN(1024)] == nil)
  }

  @Test("Proof replaces assumption, never the other way round")
  func learning() {
    var host = MappedByHost(pageSize: .size4K)
    host.learn(GFN(0), Self.assumedBlock)
    host.learn(GFN(0), Self.assumedPage)
    #expect(host[GFN(0)] == Self.assumedPage)
    host.learn(GFN(0), .block)
    host.learn(GFN(0), Self.assumedPage)
    #expect(host[GFN(0)] == .block)
  }

  @Test("An unmap of a part leaves pages, of exactly one block a block, of more nothing that is known")
  func unmaps() {
    #expect(Self.after(.block, Self.frames(600, 601)) == [Self.assumedPage, .page])
    #expect(Self.after(.page, Self.frames(512, 1024)) == [Self.assumedBlock, .page])
    #expect(Self.after(.block, Self.frames(512, 1025)) == [nil, nil])
    #expect(Self.after(.block, Self.frames(0, 1 << 40)) == [nil, nil])
    #expect(Self.after(.block, Self.frames(0, 512)) == [.block, .page])
  }

  @Test("A part of a region of which nothing is known leaves nothing known")
  func unknownPart() {
    var host = MappedByHost(pageSize: .size4K)
    host.unmap(Self.frames(1, 2))
    #expect(host[GFN(1)] == nil)
  }

  @Test("What the host did before a fault touched the region is known when one does")
  func untouched() {
    var host = MappedByHost(pageSize: .size4K)
    host.unmap(Self.frames(512, 1024))
    host.age(Self.frames(2048, 2049))
    host.unmap(Self.frames(4096, 4097), isReclaimed: true)
    #expect(host[GFN(512)] == Self.assumedBlock && !host.isInPages(GFN(512)))
    #expect(host[GFN(2048)] == nil && host.isInPages(GFN(2048)))
    #expect(host[GFN(4096)] == Self.assumedPage)
  }

  @Test(
    "Other memory may take the place of regions that no fault has touched", arguments: [1 << 13, 1 << 40])
  func forgotten(end: UInt64) {
    var host = MappedByHost(pageSize: .size4K)
    host.unmap(Self.frames(512, 1024))
    host.age(Self.frames(2048, 2049))
    host.unmap(Self.frames(0, end))
    #expect(host[GFN(512)] == nil && !host.isInPages(GFN(2048)))
  }

  @Test("Regions are as big as the page size's blocks", arguments: PageSize.allCases)
  func pageSizes(pageSize: PageSize) {
    var host = MappedByHost(pageSize: pageSize)
    host.learn(GFN(0), .block)
    #expect(host[GFN(pageSize.pagesPerPMD - 1)] == .block)
    #expect(host[GFN(pageSize.pagesPerPMD)] == nil)
  }
}

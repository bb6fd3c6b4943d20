import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The host's page size, which the size of the ring buffer's sub-buffers only bounds.
@Suite("Page size of the traced host")
struct HostPageSizeTests {
  /// A vCPU that touches one page after the other, as its host's kernel reports it.
  static func story(_ pageSize: PageSize, subBuffers: Int, pages: Int = 100) -> Scenario {
    let story = Scenario(pageSize, subBuffers: subBuffers)
    story.request = ProfileRequest()
    // Host memory whose place tells nothing.
    story.createSlot(pages: 4096, hva: 0xff00_4000_0000)
    story.enter(.vcpu0)
    for page in 0..<UInt64(pages) {
      let level = page == 0 ? 1 : page % pageSize.pagesPerPMD == 0 ? 2 : 3
      story.handle(.vcpu0, story.memory + page * story.page, level: level, .write)
    }
    return story
  }

  @Test(
    "Faults and slots tell it, whatever the sub-buffers",
    arguments: [
      (PageSize.size4K, 4096), (.size4K, 8192), (.size4K, 16384), (.size4K, 32768), (.size4K, 65536),
      (.size16K, 16384), (.size16K, 32768), (.size16K, 65536), (.size64K, 65536),
    ])
  func touching(pageSize: PageSize, subBuffers: Int) throws {
    let replayed = try Self.story(pageSize, subBuffers: subBuffers).replay()
    #expect(replayed.result.profile.pageSize == pageSize)
    #expect(replayed.operations(.map).count == 100)
    #expect(replayed.result.vms[0].memory.pageMappings.live == 100)
    #expect(replayed.divergences.isEmpty)
  }

  @Test("A sub-buffer is no smaller than a page: one of 4 or 8 KiB decides")
  func bound() throws {
    for bytes in [4096, 8192] {
      let host = try Self.story(.size4K, subBuffers: bytes, pages: 1).replay().result.profile.host
      #expect(host == HostPageSize(.size4K, .derived))
    }
    let little = try Self.story(.size16K, subBuffers: 16384, pages: 1).replay().result.profile.host
    #expect(little == HostPageSize(.size16K, .assumed))
  }

  @Test("Memory that is unmapped off the bounds of bigger pages decides, and so do slots there")
  func alignment() throws {
    let unmapped = Self.story(.size4K, subBuffers: 65536, pages: 1)
    unmapped.unmap(.kswapd, 0xff00_4000_1000)
    #expect(try unmapped.replay().result.profile.host == HostPageSize(.size4K, .derived))
    let slot = Scenario(.size4K, subBuffers: 16384)
    slot.request = ProfileRequest()
    slot.createSlot(hva: 0xff00_4000_1000)
    #expect(try slot.replay().result.profile.host == HostPageSize(.size4K, .derived))
  }

  @Test("A leaf of level 1 is one of 4 KiB pages, which alone have such blocks")
  func pudBlock() throws {
    for level in [1, 2] {
      let story = Self.story(.size16K, subBuffers: 65536, pages: 1)
      story.handle(.vcpu0, story.memory, .permission, level: level, .exec)
      let host = try story.replay().result.profile.host
      #expect(host == (level == 1 ? HostPageSize(.size4K, .derived) : HostPageSize(.size64K, .assumed)))
    }
  }

  @Test("Registers of devices lie closer than pages, and tell nothing")
  func devices() throws {
    let story = Self.story(.size16K, subBuffers: 16384, pages: 8)
    for device in 0..<UInt64(64) {
      let ipa = 0x800_0000 + device * 0x1000
      story.fault(.vcpu0, ipa, level: 2)
      story.mmio(.vcpu0, ipa)
      story.enter(.vcpu0)
    }
    #expect(try story.replay().result.profile.pageSize == .size16K)
  }

  @Test("The user's word is taken, and is an assumption where the trace decides otherwise")
  func stated() throws {
    let story = Self.story(.size4K, subBuffers: 16384, pages: 2)
    story.request?.pageSize = .size4K
    #expect(try story.replay().result.profile.host == HostPageSize(.size4K, .assumed))
    let contradicted = Self.story(.size4K, subBuffers: 4096, pages: 2)
    contradicted.request?.pageSize = .size16K
    #expect(try contradicted.replay().result.profile.host == HostPageSize(.size16K, .assumed))
    let confirmed = Self.story(.size4K, subBuffers: 4096, pages: 2)
    confirmed.request?.pageSize = .size4K
    #expect(try confirmed.replay().result.profile.host == HostPageSize(.size4K, .derived))
  }
}

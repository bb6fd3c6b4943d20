/// What a pKVM host and its EL2 must do, written as plainly as possible: dictionaries that are searched from
/// end to end, numbers instead of types. Shares no code with the model; nothing here is fast.
package struct PKVMOracle {
  /// What the host remembers.
  package struct Node: Hashable {
    package var pages: UInt64
    package var frame: UInt64?
  }

  /// What EL2 maps.
  package struct Leaf: Hashable {
    package var pages: UInt64
    package var frame: UInt64?
    /// Bits of `enum kvm_pgtable_prot`.
    package var rights: UInt64
    package var young = true
    /// 0 owned, 1 shared and owned, 2 shared and borrowed.
    package var state: Int
  }

  /// A host page: 0 owned, 1 shared and owned, 2 shared and borrowed, 3 no access.
  package struct HostPage: Hashable {
    package var state = 0
    package var count: UInt64 = 0
    package var ownerFrame: UInt64?
  }

  package struct VCPU {
    var created = false
    var loaded = false
    var hostPages = 0
    var hypPages = 0
    var hasMapping = false
    var trap: UInt64?
  }

  /// Which kernel: the release as a number, 600 for the series before 6.14.
  let release: Int
  package let protected: Bool
  let strict: Bool
  let hasFWB: Bool
  package let pageSize: UInt64
  package let blockPages: UInt64
  /// Pages that an entry of level 0, 1, 2 and 3 covers.
  let entryPages: [UInt64]
  let startLevel: Int
  let minPages: Int
  package let ipaPages: UInt64

  package var nodes: [UInt64: Node] = [:]
  package var leaves: [UInt64: Leaf] = [:]
  package var poisoned: Set<UInt64> = []
  package var host: [UInt64: HostPage] = [:]
  package var vcpus: [VCPU]
  package var pool = 0
  /// "reserved", "created", "dying".
  package var state = "reserved"
  var askedForTeardown = false
  package var calls: [String: Int] = [:]
  package var flushedPages: UInt64 = 0
  package var zeroedPages = 0
  package var lockedPages = 0
  package var leakedNodes = 0
  package var failingRefills = 0

  package init(
    release: Int, protected: Bool, strict: Bool, hasFWB: Bool, pageSize: UInt64, blockPages: UInt64,
    entryPages: [UInt64], startLevel: Int, minPages: Int, ipaPages: UInt64, vcpus: Int
  ) {
    self.release = release
    self.protected = protected
    self.strict = strict
    self.hasFWB = hasFWB
    self.pageSize = pageSize
    self.blockPages = blockPages
    self.entryPages = entryPages
    self.startLevel = startLevel
    self.minPages = minPages
    self.ipaPages = ipaPages
    self.vcpus = Array(repeating: VCPU(), count: vcpus)
    if release >= 618 { calls["reserve_vm"] = 1 }
  }

  // MARK: What there is

  func overlappingNodes(_ first: UInt64, _ last: UInt64) -> [UInt64] {
    nodes.filter { $0.key <= last && $0.key + $0.value.pages - 1 >= first }.keys.sorted()
  }

  /// Those that a range of bytes is about: before 6.16 by frames, of which the last is the one before that of the end; since then
  /// by bytes.
  private func nodesInRange(_ ipa: UInt64, _ size: UInt64) -> [UInt64] {
    let end = ipa &+ size
    if release < 616 {
      return nodes.keys.filter { ipa / pageSize <= $0 && $0 < end / pageSize }.sorted()
    }
    return nodes.filter { frame, node in
      ipa <= (frame + node.pages) * pageSize - 1 && frame * pageSize <= end &- 1
    }.keys.sorted()
  }

  func leafStart(_ frame: UInt64) -> UInt64? {
    if leaves[frame] != nil { return frame }
    let block = frame / blockPages * blockPages
    if let leaf = leaves[block], leaf.pages == blockPages { return block }
    return nil
  }

  /// Whether a guest has a host page.
  package func isUsed(_ hostFrame: UInt64) -> Bool {
    leaves.values.contains { leaf in
      leaf.frame.map { $0 <= hostFrame && hostFrame < $0 + leaf.pages } ?? false
    }
  }

  /// EL2 was asked to start the teardown while a vCPU was loaded.
  package var teardownWasRefused: Bool { askedForTeardown && state == "created" }

  /// The tables below the PGD that these leaves and annotations need, by level.
  package func tables() -> [Int: Int] {
    var names: [Int: Set<UInt64>] = [:]
    func need(_ frame: UInt64, _ level: Int) {
      guard level > startLevel else { return }
      for table in (startLevel + 1)...level {
        names[table, default: []].insert(frame / entryPages[table - 1])
      }
    }
    for (frame, leaf) in leaves { need(frame, leaf.pages == 1 ? 3 : 2) }
    for frame in poisoned { need(frame, 3) }
    return names.mapValues(\.count)
  }

  private func tableCount() -> Int { tables().values.reduce(0, +) }

  /// The level of the first entry on the way to a frame that is no table.
  package func walkLevel(_ frame: UInt64) -> Int {
    if let start = leafStart(frame) { return leaves[start]!.pages == 1 ? 3 : 2 }
    for level in startLevel..<3 {
      let size = entryPages[level]
      let base = frame / size * size
      let used =
        leaves.contains { $0.key >= base && $0.key < base + size && (level != 2 || $0.value.pages == 1) }
        || poisoned.contains { $0 >= base && $0 < base + size }
      if !used { return level }
    }
    return 3
  }

  private mutating func call(_ name: String) { calls[name, default: 0] += 1 }

  // MARK: vCPUs

  package mutating func firstRun(_ vcpu: Int) -> Int32 {
    if state == "reserved" {
      call("init_vm")
      state = "created"
      // Until 6.14 the VM comes with all its vCPUs.
      if release < 615 {
        for index in vcpus.indices {
          call("init_vcpu")
          vcpus[index].created = true
        }
      }
    }
    if vcpus[vcpu].created { return 0 }
    call("init_vcpu")
    vcpus[vcpu].created = true
    return 0
  }

  package mutating func load(_ vcpu: Int) -> Int32 {
    call("vcpu_load")
    guard state == "created", vcpus[vcpu].created, !vcpus[vcpu].loaded else { return 0 }
    vcpus[vcpu].loaded = true
    return 1
  }

  package mutating func put(_ vcpu: Int) {
    call("vcpu_put")
    vcpus[vcpu].loaded = false
  }

  private mutating func prepare(_ vcpu: Int) {
    if !strict && !vcpus[vcpu].created { _ = firstRun(vcpu) }
  }

  private func canAct(_ vcpu: Int) -> Bool {
    state == "created" && vcpus[vcpu].created && (!strict || vcpus[vcpu].loaded)
  }

  package mutating func topUp(_ vcpu: Int, _ pages: Int) {
    prepare(vcpu)
    vcpus[vcpu].hasMapping = true
    vcpus[vcpu].hostPages = max(vcpus[vcpu].hostPages, pages)
  }

  private mutating func refill(_ vcpu: Int) -> Bool {
    if failingRefills > 0 {
      failingRefills -= 1
      return false
    }
    let target = vcpus[vcpu].hostPages
    while vcpus[vcpu].hypPages < target && vcpus[vcpu].hostPages > 0 {
      vcpus[vcpu].hypPages += 1
      vcpus[vcpu].hostPages -= 1
    }
    return true
  }

  // MARK: EL2

  private mutating func addLeaf(_ frame: UInt64, _ leaf: Leaf, _ vcpu: Int) {
    let before = tableCount()
    leaves[frame] = leaf
    for _ in before..<tableCount() {
      if pool > 0 { pool -= 1 } else { vcpus[vcpu].hypPages -= 1 }
    }
  }

  private mutating func removeLeaf(_ frame: UInt64) {
    let before = tableCount()
    leaves[frame] = nil
    pool += before - tableCount()
  }

  private func badSize(_ frame: UInt64, _ pages: UInt64, _ host: UInt64) -> Bool {
    if pages == 1 { return false }
    return pages != blockPages || frame % blockPages != 0 || host % blockPages != 0
  }

  private mutating func share(
    _ host: UInt64?, _ frame: UInt64, _ pages: UInt64, _ prot: UInt64, _ vcpu: Int
  )
    -> Int32
  {
    call("share_guest")
    if !canAct(vcpu) || protected { return -22 }
    if !refill(vcpu) { return -12 }
    if prot > 15 { return -22 }
    if badSize(frame, pages, host ?? 0) { return -22 }
    if frame + pages > ipaPages { return -34 }
    for page in frame..<(frame + pages) where leafStart(page) != nil || poisoned.contains(page) { return -1 }
    if let host {
      for page in host..<(host + pages) {
        let now = self.host[page] ?? HostPage()
        if now.state == 1 && now.count == UInt64(UInt32.max) { return -16 }
        if !(now.state == 0 || now.state == 1 && now.count > 0) { return -1 }
      }
    }
    if release >= 701 && vcpus[vcpu].hypPages < minPages { return -12 }
    addLeaf(frame, Leaf(pages: pages, frame: host, rights: prot, state: 2), vcpu)
    if let host {
      for page in host..<(host + pages) {
        self.host[page, default: HostPage()].state = 1
        self.host[page]!.count += 1
      }
    }
    return 0
  }

  private mutating func unshare(_ frame: UInt64, _ pages: UInt64) -> Int32 {
    call("unshare_guest")
    if state == "reserved" || protected { return -22 }
    if badSize(frame, pages, 0) { return -22 }
    if frame >= ipaPages { return -34 }
    guard let start = leafStart(frame) else { return -2 }
    let leaf = leaves[start]!
    if leaf.pages != pages { return -7 }
    if let first = leaf.frame {
      for page in first..<(first + pages) {
        let now = host[page] ?? HostPage()
        if now.state != 1 { return -1 }
        if now.count == 0 { return -22 }
      }
      for page in first..<(first + pages) {
        host[page]!.count -= 1
        if host[page]!.count == 0 { host[page]!.state = 0 }
      }
    }
    removeLeaf(start)
    return 0
  }

  // MARK: The operations

  package mutating func map(
    _ ipa: UInt64, _ size: UInt64, _ frame: UInt64?, _ prot: UInt64, _ vcpu: Int
  ) -> Int32 {
    prepare(vcpu)
    let first = ipa / pageSize
    let last = (ipa + size - 1) / pageSize
    let pages = size / pageSize
    if protected { return mapProtected(ipa, size, frame, prot, vcpu) }
    if release < 616 {
      if size != pageSize { return -22 }
      let result = share(frame, first, 1, prot, vcpu)
      if result == -1 { return -11 }
      vcpus[vcpu].hasMapping = false
      if nodes[first] != nil { leakedNodes += 1 } else { nodes[first] = Node(pages: 1, frame: frame) }
      return result
    }
    if size != pageSize && size != pageSize * blockPages { return -22 }
    let overlaps = overlappingNodes(first, last)
    if let found = overlaps.first, nodes[found]!.pages == pages { return -11 }
    let unshared = unshareAll(overlaps)
    if unshared != 0 { return unshared }
    let result = share(frame, first, pages, prot, vcpu)
    if result != 0 { return result }
    vcpus[vcpu].hasMapping = false
    nodes[first] = Node(pages: pages, frame: frame)
    return 0
  }

  private mutating func mapProtected(
    _ ipa: UInt64, _ size: UInt64, _ frame: UInt64?, _ prot: UInt64, _ vcpu: Int
  ) -> Int32 {
    if size != pageSize || prot != 15 { return -22 }
    let first = ipa / pageSize
    let last = (ipa + size - 1) / pageSize
    if !overlappingNodes(first, last).isEmpty {
      call("vcpu_in_poison_fault")
      guard canAct(vcpu), let trap = strict ? vcpus[vcpu].trap : (vcpus[vcpu].trap ?? ipa) else { return -14 }
      if walkLevel(trap / pageSize) != 3 { return -14 }
      return poisoned.contains(trap / pageSize) ? -14 : -11
    }
    call("donate_guest")
    if !canAct(vcpu) { return -22 }
    if !refill(vcpu) { return -12 }
    if let frame, (host[frame] ?? HostPage()).state != 0 { return -1 }
    if leafStart(first) != nil || poisoned.contains(first) { return -1 }
    if vcpus[vcpu].hypPages < minPages { return -12 }
    addLeaf(first, Leaf(pages: 1, frame: frame, rights: 15, state: 0), vcpu)
    if let frame { host[frame] = HostPage(state: 3, count: 0, ownerFrame: first) }
    vcpus[vcpu].hasMapping = false
    nodes[first] = Node(pages: 1, frame: frame)
    lockedPages += 1
    return 0
  }

  private mutating func unshareAll(_ frames: [UInt64]) -> Int32 {
    for frame in frames {
      let result = unshare(frame, nodes[frame]!.pages)
      if result != 0 { return result }
      nodes[frame] = nil
    }
    return 0
  }

  package mutating func unmap(_ ipa: UInt64, _ size: UInt64) -> Int32 {
    if protected { return -1 }
    return unshareAll(nodesInRange(ipa, size))
  }

  private func leavesOf(_ frame: UInt64, _ pages: UInt64) -> [UInt64] {
    leaves.keys.filter { $0 < frame + pages && $0 + leaves[$0]!.pages > frame }
  }

  package mutating func wrprotect(_ ipa: UInt64, _ size: UInt64) -> Int32 {
    if protected { return -1 }
    for frame in nodesInRange(ipa, size) {
      call("wrprotect_guest")
      if state == "reserved" { return -22 }
      for leaf in leavesOf(frame, nodes[frame]!.pages) { leaves[leaf]!.rights &= ~4 }
    }
    return 0
  }

  package mutating func age(_ ipa: UInt64, _ size: UInt64, _ markOld: Bool) -> Int32 {
    if protected { return 0 }
    var young: Int32 = 0
    for frame in nodesInRange(ipa, size) {
      call("test_clear_young_guest")
      if state == "reserved" {
        young = 1
        continue
      }
      for leaf in leavesOf(frame, nodes[frame]!.pages) {
        if leaves[leaf]!.young { young = 1 }
        if markOld { leaves[leaf]!.young = false }
      }
    }
    return young
  }

  package mutating func relax(_ ipa: UInt64, _ prot: UInt64, _ vcpu: Int) -> Int32 {
    if protected { return -1 }
    prepare(vcpu)
    call("relax_perms_guest")
    if !canAct(vcpu) || prot > 15 { return -22 }
    if prot & 3 == 1 || prot & 3 == 2 { return -22 }
    if ipa / pageSize >= ipaPages { return -34 }
    // Until 6.18 EL2's walk ignored the -EAGAIN of an empty entry.
    guard let start = leafStart(ipa / pageSize) else { return release >= 619 ? -11 : 0 }
    // From 6.19 to 7.1 EL2 wrote the XN field whatever was asked for.
    if release >= 619 && release < 702 { leaves[start]!.rights &= ~3 }
    leaves[start]!.rights |= prot
    return 0
  }

  package mutating func mkyoung(_ ipa: UInt64, _ vcpu: Int) {
    if protected { return }
    prepare(vcpu)
    call("mkyoung_guest")
    if canAct(vcpu), let start = leafStart(ipa / pageSize) { leaves[start]!.young = true }
  }

  package mutating func flush(_ ipa: UInt64, _ size: UInt64) {
    if hasFWB { return }
    for frame in nodesInRange(ipa, size) { flushedPages += nodes[frame]!.pages }
  }

  package mutating func flushTLBs() { call("tlb_flush_vmid") }

  package mutating func forceReclaim(_ hostFrame: UInt64) -> Int32 {
    call("force_reclaim_guest_page")
    // What the host may use itself: -EAGAIN, and the access is tried again.
    if (host[hostFrame] ?? HostPage()).state != 3 { return 1 }
    guard let frame = host[hostFrame]?.ownerFrame, leaves[frame]!.state == 0 else { return 0 }
    leaves[frame] = nil
    poisoned.insert(frame)
    host[hostFrame] = HostPage()
    zeroedPages += 1
    return 1
  }

  package mutating func guestShare(_ ipa: UInt64, from old: Int, to new: Int) -> Int32 {
    if !protected || state != "created" { return -22 }
    let frame = ipa / pageSize
    if frame >= ipaPages { return -34 }
    if poisoned.contains(frame) { return -133 }
    guard leaves[frame] != nil else { return -2 }
    if leaves[frame]!.state != old { return -1 }
    if let hostFrame = leaves[frame]!.frame, host[hostFrame]!.state != (old == 0 ? 3 : 2) { return -1 }
    leaves[frame]!.state = new
    if let hostFrame = leaves[frame]!.frame { host[hostFrame]!.state = new == 1 ? 2 : 3 }
    return 0
  }

  package mutating func destroyRange(_ ipa: UInt64, _ size: UInt64) {
    if release < 618 && state == "reserved" { return }
    if release >= 701 && state != "reserved" && !askedForTeardown {
      call("start_teardown_vm")
      askedForTeardown = true
      if state == "created" && !vcpus.contains(where: \.loaded) { state = "dying" }
    }
    let frames = nodesInRange(ipa, size)
    if protected {
      for frame in frames {
        call("reclaim_dying_guest_page")
        if state != "dying" { continue }
        if !poisoned.contains(frame) {
          guard let leaf = leaves[frame] else { continue }
          if leaf.state == 0 { zeroedPages += 1 }
          removeLeaf(frame)
          if let hostFrame = leaf.frame { host[hostFrame] = HostPage() }
        }
        nodes[frame] = nil
        lockedPages -= 1
      }
    } else if release < 616 {
      for frame in frames {
        _ = unshare(frame, 1)
        nodes[frame] = nil
      }
    } else {
      _ = unshareAll(frames)
    }
  }
}

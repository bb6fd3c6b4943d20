import KVMTypes
import SeededRandom

/// What vCPUs do. Every step leaves its vCPU in the guest.
extension Synthesizer {
  /// `kvm_exit.ret`.
  private enum ExitCode {
    static let irq: UInt64 = 0
    static let trap: UInt64 = 2
  }

  /// ESR_EL2.EC.
  private enum ExceptionClass {
    static let wfx: UInt64 = 0x01
    static let systemRegister: UInt64 = 0x18
    static let instructionAbort: UInt64 = 0x20
    static let dataAbort: UInt64 = 0x24
  }

  mutating func vcpuStep(_ index: Int) throws(TraceWriteError) {
    if !vcpus[index].isInGuest { try enter(index) }
    stream.wait(200 + random.below(2000))
    if configuration.faultsOnly { return try memoryStep(index) }
    switch random.below(100) {
    case 0..<60: try memoryStep(index)
    case 60..<78: try trapStep(index, ExceptionClass.systemRegister)
    case 78..<81: try trapStep(index, ExceptionClass.wfx)
    case 81..<91: try deviceStep(index)
    default: try interruptStep(index)
    }
  }

  // MARK: Entry and exit

  private mutating func enter(_ index: Int) throws(TraceWriteError) {
    if random.below(500) == 0 { vcpus[index].cpu = random.below(running.count) }
    let cpu = vcpus[index].cpu
    try interrupt(cpu)
    running[cpu] = index
    vcpus[index].isInGuest = true
    if configuration.faultsOnly { return }
    try stream.emit(.entry, cpu: cpu, pid: vcpus[index].pid, vcpus[index].pc)
  }

  private mutating func leave(_ index: Int, _ code: UInt64, _ exceptionClass: UInt64) throws(TraceWriteError)
  {
    let cpu = vcpus[index].cpu
    running[cpu] = nil
    vcpus[index].isInGuest = false
    if configuration.faultsOnly { return }
    try stream.emit(.exit, cpu: cpu, pid: vcpus[index].pid, code, exceptionClass, vcpus[index].pc)
  }

  /// Makes a CPU free of guests: whoever runs there is interrupted.
  mutating func interrupt(_ cpu: Int) throws(TraceWriteError) {
    guard let index = running[cpu] else { return }
    vcpus[index].pc = kernelPC()
    try leave(index, ExitCode.irq, 0)
  }

  private mutating func interruptStep(_ index: Int) throws(TraceWriteError) {
    vcpus[index].pc = kernelPC()
    try leave(index, ExitCode.irq, 0)
    try enter(index)
  }

  private mutating func trapStep(_ index: Int, _ exceptionClass: UInt64) throws(TraceWriteError) {
    vcpus[index].pc = kernelPC()
    try leave(index, ExitCode.trap, exceptionClass)
    if exceptionClass == ExceptionClass.wfx { stream.wait(random.below(30_000)) }
    vcpus[index].pc += 4
    try enter(index)
  }

  /// Some instruction of the guest's kernel.
  private mutating func kernelPC() -> UInt64 { 0xffff_a467_c300_0000 + (random.next() & 0xff_fffc) }

  // MARK: Memory

  /// An access that faults, or an interrupt when the vCPU finds all it looks at.
  private mutating func memoryStep(_ index: Int) throws(TraceWriteError) {
    for _ in 0..<8 {
      let (page, access) = nextAccess(index)
      let outcome = guests[vcpus[index].guest].stage2.access(page, access)
      if outcome == .hit { continue }
      return try fault(index, page, access, outcome)
    }
    // Without exits only the host gives a guest that has all its memory something to fault on.
    if configuration.faultsOnly { return try hostStep() }
    try interruptStep(index)
  }

  /// Where a vCPU looks next: along its stream, in what the host took or aged, in its hot set, anywhere.
  private mutating func nextAccess(_ index: Int) -> (page: Int, access: GuestStage2.Access) {
    let guest = vcpus[index].guest
    let pages = guests[guest].pages
    let kind = random.below(100)
    let access: GuestStage2.Access = kind < 55 ? .write : kind < 95 ? .read : .execute
    if configuration.faultsOnly { return (random.below(pages), access) }
    var page: Int?
    switch random.below(100) {
    case 0..<45:
      vcpus[index].cursor += 1
      if vcpus[index].cursor >= pages { vcpus[index].cursor = 0 }
      page = vcpus[index].cursor
    case 45..<65: page = guests[guest].reclaimed.page(&random)
    case 65..<85: page = guests[guest].aged.page(&random)
    case 85..<97: page = (vcpus[index].hot + random.below(256)) % pages
    default: vcpus[index].hot = random.below(pages)
    }
    return (page ?? random.below(pages), access)
  }

  private mutating func fault(
    _ index: Int, _ page: Int, _ access: GuestStage2.Access, _ outcome: GuestStage2.Outcome
  ) throws(TraceWriteError) {
    let guest = vcpus[index].guest
    switch outcome {
    case .hit:
      return
    case .translation(let level):
      // Now and then it is the CPU that reads, walking the guest's own tables.
      let isWalk = access == .read && random.below(50) == 0
      try abort(index, page, access, status: 0x04 + UInt64(level), isStage1Walk: isWalk)
      try contend(index)
      guests[guest].stage2.map(page, access)
    case .accessFlag(let level):
      let ipa = try abort(index, page, access, status: 0x08 + UInt64(level))
      try stream.emit(.accessFault, cpu: vcpus[index].cpu, pid: vcpus[index].pid, ipa)
      guests[guest].stage2.markYoung(page)
    case .permission(let level) where access == .execute:
      try abort(index, page, access, status: 0x0c + UInt64(level))
      guests[guest].stage2.allowExecution(page)
    case .permission(let level):
      // The zero page is written to. The host gives the guest a page of its own and takes the old
      // mapping away for it, so this fault maps nothing; the guest faults once more.
      try abort(index, page, access, status: 0x0c + UInt64(level))
      let hva = guests[guest].hva(of: page)
      let end = hva + guests[guest].pageBytes
      try stream.emit(.unmapHVARange, cpu: vcpus[index].cpu, pid: vcpus[index].pid, hva, end)
      guests[guest].stage2.unmap(page..<page + 1)
      guests[guest].stage2.populate(page)
      try enter(index)
      return try fault(index, page, access, guests[guest].stage2.access(page, access))
    }
    try enter(index)
  }

  /// The guest takes a stage-2 abort: `kvm_exit` and `kvm_guest_fault`. Gives back the reported IPA.
  @discardableResult
  private mutating func abort(
    _ index: Int, _ page: Int, _ access: GuestStage2.Access, status: UInt64, isStage1Walk: Bool = false
  ) throws(TraceWriteError) -> UInt64 {
    let guest = vcpus[index].guest
    let bytes = random.next()
    // HPFAR_EL2 tells 4 KiB apart whatever the host's page size is.
    let ipa = guests[guest].ipa(of: page) + (bytes >> 32 & (guests[guest].pageBytes - 1) & ~0xfff)
    // The guest's linear map; a walk is on behalf of some other address.
    var address = 0xffff_0000_0000_0000 + ipa + (bytes & 0xff8)
    if isStage1Walk { address = 0xffff_8000_0000_0000 + (bytes & 0x3fff_fff8) }
    var syndrome = status | 1 << 25
    switch access {
    case .execute:
      syndrome |= ExceptionClass.instructionAbort << 26
      vcpus[index].pc = address & ~3
    case .read where isStage1Walk:
      syndrome |= ExceptionClass.dataAbort << 26 | 1 << 7
      vcpus[index].pc = kernelPC()
    case .read, .write:
      // A 64-bit load or store of X1 with a valid syndrome.
      syndrome |= ExceptionClass.dataAbort << 26 | 1 << 24 | 3 << 22 | 1 << 16 | 1 << 15
      if access == .write { syndrome |= 1 << 6 }
      vcpus[index].pc = kernelPC()
    }
    if access == .execute { address = vcpus[index].pc }
    try leave(index, ExitCode.trap, syndrome >> 26)
    try stream.emit(
      .guestFault, cpu: vcpus[index].cpu, pid: vcpus[index].pid, vcpus[index].pc, syndrome, address, ipa)
    stream.wait(300 + random.below(700))
    return ipa
  }

  /// Rarely another vCPU or the host holds the lock.
  private mutating func contend(_ index: Int) throws(TraceWriteError) {
    guard random.below(64) == 0 else { return }
    let lock = guests[vcpus[index].guest].kvm
    try stream.emit(.contentionBegin, cpu: vcpus[index].cpu, pid: vcpus[index].pid, lock, 1 | 4)
    stream.wait(random.below(20_000))
    try stream.emit(.contentionEnd, cpu: vcpus[index].cpu, pid: vcpus[index].pid, lock)
  }

  // MARK: Devices

  /// A register of the UART (the VMM's) or of the interrupt controller (KVM's) is read or written.
  private mutating func deviceStep(_ index: Int) throws(TraceWriteError) {
    let guest = vcpus[index].guest
    let isInKernel = random.below(8) == 0
    let isWrite = random.below(2) == 0
    let page = isInKernel ? Guest.distributorIPA : Guest.uartIPA
    let register = UInt64(random.below(16)) * 4
    let value = random.next() & 0xff
    let level = guests[guest].stage2.firstEmptyLevel(gfn: Int(page / guests[guest].pageBytes))
    // A 32-bit load or store of X0.
    var syndrome: UInt64 = ExceptionClass.dataAbort << 26 | 1 << 25 | 1 << 24 | 2 << 22
    syndrome |= 0x04 + UInt64(level) | (isWrite ? 1 << 6 : 0)

    let pid = vcpus[index].pid
    vcpus[index].pc = kernelPC()
    try leave(index, ExitCode.trap, ExceptionClass.dataAbort)
    let cpu = vcpus[index].cpu
    let address = 0xffff_8000_8004_3000 + register
    try stream.emit(.guestFault, cpu: cpu, pid: pid, vcpus[index].pc, syndrome, address, page)
    // Type 2 is a write; a read shows as 0 when it starts and as 1 with its value.
    try stream.emit(.mmio, cpu: cpu, pid: pid, isWrite ? 2 : 0, 4, page + register, isWrite ? value : 0)
    if !isInKernel {
      let reasonMMIO: UInt64 = 6
      try stream.emit(.userspaceExit, cpu: cpu, pid: pid, reasonMMIO)
      stream.wait(2000 + random.below(4000))
    }
    if !isWrite { try stream.emit(.mmio, cpu: cpu, pid: pid, 1, 4, page + register, value) }
    vcpus[index].pc += 4
    try enter(index)
  }
}

import KVMTypes
import LockModel

/// The fair lock, simulated without any data structure: at each moment every client is looked at. For closed
/// clients with recorded sections that run once.
func naiveOutcome(_ clients: [[LockRequest]], faultsWrite: Bool, dropsWhenContended: Bool) -> Outcome {
  enum State { case thinking(UInt64), waiting(UInt64), holding(since: UInt64, pieceEnd: UInt64), done }
  struct Thread {
    var state: State
    var left: ArraySlice<LockRequest>
    var holdLeft: UInt64 = 0
    var piecesLeft: UInt64 = 0
    var writes = false
  }

  var outcome = Outcome()
  outcome.sections = clients.map { _ in 0 }
  outcome.usages = clients.flatMap { _ in [Outcome.Usage(), Outcome.Usage()] }
  var threads = clients.map { requests in
    Thread(state: requests.first.map { .thinking($0.think.rawValue) } ?? .done, left: requests[...])
  }
  var queue: [Int] = []
  var now: UInt64 = 0
  var chainStart: UInt64?

  func holders() -> [Int] {
    threads.indices.filter { if case .holding = threads[$0].state { true } else { false } }
  }
  func beginPiece(_ index: Int, since: UInt64) {
    let piece = threads[index].holdLeft / threads[index].piecesLeft
    threads[index].holdLeft -= piece
    threads[index].piecesLeft -= 1
    threads[index].state = .holding(since: since, pieceEnd: now + piece)
  }
  func admit() {
    while let head = queue.first, case .waiting(let since) = threads[head].state {
      let others = holders()
      if others.contains(where: { threads[$0].writes || threads[head].writes }) { break }
      queue.removeFirst()
      outcome.usages[2 * head + (threads[head].writes ? 1 : 0)].waited(now - since)
      beginPiece(head, since: now)
    }
    if !holders().isEmpty, chainStart == nil { chainStart = now }
  }
  func ask(_ index: Int) {
    threads[index].state = .waiting(now)
    queue.append(index)
    admit()
    outcome.mostWaiters = max(outcome.mostWaiters, queue.count)
  }
  func release(_ index: Int, since: UInt64) {
    outcome.usages[2 * index + (threads[index].writes ? 1 : 0)].held(now - since)
    threads[index].state = .done
  }

  while true {
    // The next moment, and at it the ends of pieces before the requests, each by number.
    var ends: [(UInt64, Int, Int)] = []
    for (index, thread) in threads.enumerated() {
      switch thread.state {
      case .thinking(let time): ends.append((time, 1, index))
      case .holding(_, let time): ends.append((time, 0, index))
      case .waiting, .done: break
      }
    }
    guard let (time, kind, index) = ends.min(by: <) else { break }
    let active = holders()
    if active.contains(where: { threads[$0].writes }) {
      outcome.writtenTime += time - now
    } else if !active.isEmpty {
      outcome.readTime += time - now
    }
    now = time
    if kind == 1 {
      let request = threads[index].left.removeFirst()
      threads[index].writes = request.use == .write || (request.use == .fault && faultsWrite)
      threads[index].holdLeft = request.hold.rawValue
      threads[index].piecesLeft = UInt64(request.reschedPoints) + 1
      ask(index)
    } else if case .holding(let since, _) = threads[index].state {
      if threads[index].piecesLeft == 0 {
        release(index, since: since)
        outcome.sections[index] += 1
        admit()
        if let next = threads[index].left.first {
          threads[index].state = .thinking(now + next.think.rawValue)
        }
      } else if queue.isEmpty || !dropsWhenContended {
        beginPiece(index, since: since)
      } else {
        outcome.drops += 1
        release(index, since: since)
        admit()
        ask(index)
      }
      if holders().isEmpty, let start = chainStart {
        if now - start > outcome.longestChain {
          outcome.longestChain = now - start
          outcome.longestChainStart = start
        }
        chainStart = nil
      }
    }
  }
  outcome.span = now
  return outcome
}

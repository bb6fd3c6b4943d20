/// The fair rwlock under threads with exponential think and hold times, as a Markov chain that is solved
/// exactly: an answer that owes nothing to the simulation. The mean hold is 1.
///
/// A state is how many threads read, whether one writes, and who waits, in order.
struct FairLockChain {
  private(set) var readUtilisation = 0.0
  private(set) var writeUtilisation = 0.0
  private(set) var meanReaders = 0.0
  private(set) var meanWaiters = 0.0
  /// Sections per mean hold.
  private(set) var throughput = 0.0

  private struct State: Hashable {
    var readers = 0
    var isWritten = false
    /// Whether each of those who wait, in the order of arrival, wants to write.
    var queue: [Bool] = []

    /// The queue's head gets in where it may, and after it who comes next.
    mutating func admit() {
      while let writes = queue.first, !isWritten, !writes || readers == 0 {
        queue.removeFirst()
        if writes { isWritten = true } else { readers += 1 }
      }
    }

    func arrived(writes: Bool) -> State {
      var next = self
      next.queue.append(writes)
      next.admit()
      return next
    }
  }

  /// `threads` threads that think for `think` on average and read with the probability `reads`.
  init(threads: Int, think: Double, reads: Double) {
    var numbers = [State(): 0]
    var states = [State()]
    var flows: [(from: Int, to: Int, rate: Double)] = []
    var done = 0
    while done < states.count {
      let state = states[done]
      func flow(to next: State, rate: Double) {
        if rate == 0 { return }
        let number = numbers[next] ?? states.count
        if number == states.count {
          numbers[next] = number
          states.append(next)
        }
        flows.append((done, number, rate))
      }
      let thinking = threads - state.readers - (state.isWritten ? 1 : 0) - state.queue.count
      flow(to: state.arrived(writes: false), rate: Double(thinking) / think * reads)
      flow(to: state.arrived(writes: true), rate: Double(thinking) / think * (1 - reads))
      if state.readers > 0 {
        var next = state
        next.readers -= 1
        next.admit()
        flow(to: next, rate: Double(state.readers))
      }
      if state.isWritten {
        var next = state
        next.isWritten = false
        next.admit()
        flow(to: next, rate: 1)
      }
      done += 1
    }
    for (state, share) in zip(states, Self.stationary(states.count, flows)) {
      if state.readers > 0 { readUtilisation += share }
      if state.isWritten { writeUtilisation += share }
      meanReaders += share * Double(state.readers)
      meanWaiters += share * Double(state.queue.count)
    }
    throughput = meanReaders + writeUtilisation
  }

  /// The share of the time in each state: the fixed point of a small step of the chain, taken until it rests.
  private static func stationary(_ count: Int, _ flows: [(from: Int, to: Int, rate: Double)]) -> [Double] {
    var leaving = [Double](repeating: 0, count: count)
    for flow in flows { leaving[flow.from] += flow.rate }
    let step = 0.9 / (leaving.max() ?? 1)
    var shares = [Double](repeating: 1 / Double(count), count: count)
    var change = 1.0
    while change > 1e-15 {
      var next = shares
      for flow in flows {
        let moved = shares[flow.from] * flow.rate * step
        next[flow.from] -= moved
        next[flow.to] += moved
      }
      change = zip(shares, next).reduce(0) { max($0, abs($1.0 - $1.1)) }
      shares = next
    }
    return shares
  }
}

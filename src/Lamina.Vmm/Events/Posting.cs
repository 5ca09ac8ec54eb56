namespace Lamina.Vmm.Events;

/// <summary>
/// Work for the event loop that any thread can ask for, over and over, without allocating. Requests made before the work has begun do not add up; one made
/// while it runs makes it run again.
/// </summary>
internal sealed class Posting(EventLoop loop, Action action)
{
    private int _pending;

    /// <summary>The next in the loop's queue, under the loop's lock.</summary>
    internal Posting? Next { get; set; }

    /// <summary>Asks for the work. Any thread; does not wait.</summary>
    internal void Schedule()
    {
        if (Interlocked.Exchange(ref _pending, 1) == 0)
        {
            loop.Enqueue(this);
        }
    }

    internal void Run()
    {
        Interlocked.Exchange(ref _pending, 0);
        action();
    }
}

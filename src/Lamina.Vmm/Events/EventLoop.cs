using Lamina.Interop.Events;

namespace Lamina.Vmm.Events;

/// <summary>A thread that waits for descriptors and for work posted to it: one a machine, and its control thread.</summary>
internal sealed class EventLoop : IDisposable
{
    private const ulong WakeToken = ulong.MaxValue;
    private readonly Poller _poller = new();
    private readonly EventNotifier _notifier = new();
    private readonly List<IReadinessTarget> _targets = [];
    private readonly Lock _lock = new();
    private readonly Thread _thread;
    private readonly Action<Exception?> _ended;
    private readonly Action? _began;
    private Posting? _first;
    private Posting? _last;
    private volatile bool _stop;
    private bool _disposed;

    /// <summary>Makes a loop that has not begun.</summary>
    /// <param name="name">Name of the thread.</param>
    /// <param name="ended">Called last on the thread, with what made it end early, or null.</param>
    /// <param name="began">Called first on the thread; or null.</param>
    internal EventLoop(string name, Action<Exception?> ended, Action? began = null)
    {
        _ended = ended;
        _began = began;
        _poller.Add(_notifier.Descriptor, Readiness.Readable, WakeToken);
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    /// <summary>Ends the loop and waits for its thread, unless called on it.</summary>
    public void Dispose()
    {
        Stop();
        if (_thread.IsAlive && _thread != Thread.CurrentThread)
        {
            _thread.Join();
        }

        lock (_lock)
        {
            _disposed = true;
            _poller.Dispose();
            _notifier.Dispose();
        }
    }

    /// <summary>Has a descriptor watched. Before the loop begins, or on its thread.</summary>
    internal void Watch(int descriptor, Readiness interest, IReadinessTarget target)
    {
        _targets.Add(target);
        _poller.Add(descriptor, interest, (ulong)(_targets.Count - 1));
    }

    /// <summary>Starts the thread.</summary>
    internal void Begin() => _thread.Start();

    /// <summary>Makes the thread end after the work in hand. Any thread.</summary>
    internal void Stop()
    {
        lock (_lock)
        {
            _stop = true;
            if (!_disposed)
            {
                _notifier.Signal();
            }
        }
    }

    internal void Enqueue(Posting posting)
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            if (_first == null)
            {
                _first = posting;
                _notifier.Signal();
            }
            else
            {
                _last!.Next = posting;
            }

            _last = posting;
        }
    }

    private void Run()
    {
        Exception? failure = null;
        try
        {
            _began?.Invoke();
            Span<ReadyDescriptor> ready = stackalloc ReadyDescriptor[Poller.BatchSize];
            while (!_stop)
            {
                int count = _poller.Wait(ready, Timeout.Infinite);
                for (int i = 0; i < count && !_stop; i++)
                {
                    if (ready[i].Token == WakeToken)
                    {
                        _notifier.Clear();
                        RunPostings();
                    }
                    else
                    {
                        _targets[(int)ready[i].Token].OnReady(ready[i].Readiness);
                    }
                }
            }
        }
        catch (Exception e)
        {
            failure = e;
        }

        _ended(failure);
    }

    private void RunPostings()
    {
        Posting? posting;
        lock (_lock)
        {
            posting = _first;
            _first = null;
            _last = null;
        }

        while (posting != null && !_stop)
        {
            Posting? next = posting.Next;
            posting.Next = null;
            posting.Run();
            posting = next;
        }
    }
}

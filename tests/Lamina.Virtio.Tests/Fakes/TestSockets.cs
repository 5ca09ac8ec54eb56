using Lamina.Machine.Backends;

namespace Lamina.Virtio.Tests.Fakes;

/// <summary>The host's ends of connections: what it has sent and taken is in memory, and it takes as much as the test says.</summary>
internal sealed unsafe class TestSockets : ISocketBackend
{
    private readonly Dictionary<int, End> _ends = [];

    public int BufferLength => 4096;

    public ISocketTarget? Target { get; private set; }

    /// <summary>Ports at which somebody listens.</summary>
    public HashSet<uint> Listening { get; } = [];

    public List<string> Log { get; } = [];

    public IReadOnlyDictionary<int, End> Ends => _ends;

    /// <summary>What another processor of the guest's does while bytes are passed on.</summary>
    public Action? Passing { get; set; }

    public void SetTarget(ISocketTarget target, int channels) => Target = target;

    public void Start()
    {
    }

    public void Stop()
    {
    }

    public bool Connect(int channel, uint port)
    {
        if (!Listening.Contains(port))
        {
            return false;
        }

        Log.Add($"connect {channel} {port}");
        Assert.True(_ends.TryAdd(channel, new End()), "The device gave a channel twice.");
        return true;
    }

    public void Attach(int channel) => Assert.True(_ends.TryAdd(channel, new End()), "The device gave a channel twice.");

    public bool Accept(int channel, uint port)
    {
        Log.Add($"accept {channel} {port:x}");
        return _ends.ContainsKey(channel);
    }

    public SocketState Receive(int channel, ReadOnlySpan<GuestBuffer> buffers, out int count)
    {
        count = 0;
        if (!_ends.TryGetValue(channel, out End? end))
        {
            return SocketState.Gone;
        }

        foreach (GuestBuffer buffer in buffers)
        {
            Span<byte> guest = new((void*)buffer.HostAddress, (int)buffer.Length);
            for (int i = 0; i < guest.Length && end.ToGuest.Count > 0 && count < end.Portion; i++, count++)
            {
                guest[i] = end.ToGuest.Dequeue();
            }
        }

        Passing?.Invoke();
        return count > 0 ? SocketState.Open : end.State;
    }

    public bool Send(int channel, ReadOnlySpan<GuestBuffer> buffers, out int taken)
    {
        taken = 0;
        if (!_ends.TryGetValue(channel, out End? end) || end.State == SocketState.Gone)
        {
            return false;
        }

        foreach (GuestBuffer buffer in buffers)
        {
            foreach (byte value in new ReadOnlySpan<byte>((void*)buffer.HostAddress, (int)buffer.Length))
            {
                end.Kept.Enqueue(value);
            }
        }

        Assert.True(end.Kept.Count <= BufferLength, "The guest made the device keep more than there is room for.");
        Passing?.Invoke();
        return Flush(channel, out taken);
    }

    public bool Flush(int channel, out int taken)
    {
        taken = 0;
        if (!_ends.TryGetValue(channel, out End? end))
        {
            return false;
        }

        while (end.Room > 0 && end.Kept.TryDequeue(out byte value))
        {
            end.FromGuest.Add(value);
            end.Room--;
            taken++;
        }

        return end.State != SocketState.Gone;
    }

    public void ShutDown(int channel, bool receive, bool send) => Log.Add($"shutdown {channel}{(receive ? " receive" : "")}{(send ? " send" : "")}");

    public void Close(int channel)
    {
        if (_ends.Remove(channel))
        {
            Log.Add($"close {channel}");
        }
    }

    public sealed class End
    {
        public Queue<byte> ToGuest { get; } = new();

        public Queue<byte> Kept { get; } = new();

        public List<byte> FromGuest { get; } = [];

        public int Room { get; set; } = int.MaxValue;

        /// <summary>Most bytes that it gives at once.</summary>
        public int Portion { get; set; } = int.MaxValue;

        public SocketState State { get; set; } = SocketState.Open;
    }
}

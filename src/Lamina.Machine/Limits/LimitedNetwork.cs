using System.Runtime.InteropServices;
using Lamina.Machine.Backends;
using Lamina.Machine.Time;

namespace Lamina.Machine.Limits;

/// <summary>A wire with limits, which may change at any time, for each direction: packets that come too fast wait at their sender. All lines of the wire share them.</summary>
public sealed class LimitedNetwork : ILimited, ITimerTarget
{
    private readonly IMachineClock _clock;
    private readonly IClockTimer _timer;
    private readonly ILock _gate;
    private readonly LimitedLine[] _lines;
    private IoThrottle _sending;
    private IoThrottle _receiving;
    private IoLimits _limits;
    private TrafficCounters _traffic;

    /// <summary>Puts limits before the lines of a wire; <paramref name="gate"/> is its own.</summary>
    public LimitedNetwork(ReadOnlySpan<INetworkBackend> lines, IMachineClock clock, ILock gate, IoLimits limits)
    {
        _clock = clock;
        _gate = gate;
        _timer = clock.CreateTimer(this);
        _limits = limits;
        _sending.Set(limits, clock.Now);
        _receiving.Set(limits, clock.Now);
        _lines = new LimitedLine[lines.Length];
        for (int i = 0; i < lines.Length; i++)
        {
            _lines[i] = new LimitedLine(this, lines[i]);
        }
    }

    /// <summary>The lines, with the limits before them.</summary>
    public ReadOnlySpan<INetworkBackend> Lines => _lines;

    /// <summary>The hardware address of the guest's card; empty if it is not known.</summary>
    public ReadOnlyMemory<byte> HardwareAddress { get; init; }

    /// <inheritdoc/>
    public IoLimits Limits => Volatile.Read(ref _limits);

    /// <summary>Frames that have passed since the start, and their bytes without the header. Any thread.</summary>
    public TrafficCounters Traffic
    {
        get
        {
            _gate.Enter();
            TrafficCounters traffic = _traffic;
            _gate.Exit();
            return traffic;
        }
    }

    /// <summary>Sets other limits. Any thread.</summary>
    public void SetLimits(IoLimits limits)
    {
        _gate.Enter();
        ulong now = _clock.Now;
        Volatile.Write(ref _limits, limits);
        _sending.Set(limits, now);
        _receiving.Set(limits, now);
        bool waiting = false;
        foreach (LimitedLine line in _lines)
        {
            waiting |= line.SenderWaits || line.WireWaits;
        }

        _gate.Exit();
        if (waiting)
        {
            _timer.Arm(now);
        }
    }

    /// <summary>
    /// Tells the network where the card's address is now: a frame of the reverse address resolution protocol (RFC 903) to all, from which bridges and switches learn the way. While the wire is stopped, and nobody else sends;
    /// a wire that is full drops it.
    /// </summary>
    public void Announce()
    {
        const int FrameLength = 60;
        const int AddressLength = 6;
        ReadOnlySpan<byte> address = HardwareAddress.Span;
        if (address.Length != AddressLength)
        {
            return;
        }

        // Ethernet and IPv4, of 6 and 4 bytes; request reverse; whose is this address?
        ReadOnlySpan<byte> question = [0x80, 0x35, 0, 1, 0x08, 0x00, 6, 4, 0, 3];
        byte[] packet = GC.AllocateArray<byte>(INetworkBackend.HeaderLength + FrameLength, pinned: true);
        Span<byte> frame = packet.AsSpan(INetworkBackend.HeaderLength);
        frame[..AddressLength].Fill(0xff);
        address.CopyTo(frame[AddressLength..]);
        question.CopyTo(frame[(2 * AddressLength)..]);
        address.CopyTo(frame[22..]);
        address.CopyTo(frame[32..]);
        _lines[0].TryTransmit([new GuestBuffer(0, Marshal.UnsafeAddrOfPinnedArrayElement(packet, 0), (uint)packet.Length)]);
        GC.KeepAlive(packet);
    }

    /// <summary>Leaves the wire alone from now on, because it is to be closed. On the thread of the timers, when nobody sends or receives any more.</summary>
    public void Close()
    {
        _gate.Enter();
        foreach (LimitedLine line in _lines)
        {
            line.SenderWaits = line.WireWaits = false;
        }

        _gate.Exit();
        _timer.Cancel();
    }

    /// <inheritdoc/>
    public void OnTimer()
    {
        // Whoever comes first takes what there is; the others wait again.
        foreach (LimitedLine line in _lines)
        {
            _gate.Enter();
            ulong now = _clock.Now;
            bool sends = line.SenderWaits && _sending.IsOpen(now);
            bool receives = line.WireWaits && _receiving.IsOpen(now);
            line.SenderWaits &= !sends;
            line.WireWaits &= !receives;
            _gate.Exit();
            line.Resume(sends, receives);
        }

        _gate.Enter();
        Arm();
        _gate.Exit();
    }

    /// <summary>Whether the guest may send a packet on a line; if not, the line is told when it may.</summary>
    internal bool MaySend(LimitedLine line)
    {
        _gate.Enter();
        bool passes = !_sending.IsLimited || _sending.IsOpen(_clock.Now);
        if (!passes)
        {
            line.SenderWaits = true;
            Arm();
        }

        _gate.Exit();
        return passes;
    }

    /// <summary>Whether the guest may be given a packet.</summary>
    internal bool MayReceive(LimitedLine line)
    {
        _gate.Enter();
        bool passes = !_receiving.IsLimited || _receiving.IsOpen(_clock.Now);
        if (!passes)
        {
            line.WireWaits = true;
            Arm();
        }

        _gate.Exit();
        return passes;
    }

    /// <summary>A packet of so many bytes, with its header, has been sent.</summary>
    internal void CountSent(ulong length)
    {
        length -= Math.Min(length, INetworkBackend.HeaderLength);
        _gate.Enter();
        _traffic = _traffic.CountOut(length);
        _sending.Take(length);
        _gate.Exit();
    }

    /// <summary>The guest has been given one.</summary>
    internal void CountReceived(ulong length)
    {
        length -= Math.Min(length, INetworkBackend.HeaderLength);
        _gate.Enter();
        _traffic = _traffic.CountIn(length);
        _receiving.Take(length);
        _gate.Exit();
    }

    private void Arm()
    {
        ulong next = ulong.MaxValue;
        foreach (LimitedLine line in _lines)
        {
            next = line.SenderWaits ? Math.Min(next, _sending.OpensAt) : next;
            next = line.WireWaits ? Math.Min(next, _receiving.OpensAt) : next;
        }

        if (next != ulong.MaxValue)
        {
            _timer.Arm(next);
        }
    }
}

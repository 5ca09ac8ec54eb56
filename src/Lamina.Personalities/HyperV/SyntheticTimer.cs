using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Time;

namespace Lamina.Personalities.HyperV;

/// <summary>A synthetic timer of a processor (Top-Level Functional Specification, section 12.4): it sends a message to a source, or in direct mode an interrupt.</summary>
internal sealed class SyntheticTimer : ITimerTarget
{
    private const ulong Enabled = 1;
    private const ulong Periodic = 2;
    private const ulong AutoEnable = 8;
    private const ulong Direct = 1 << 12;
    private const ulong ConfigurationMask = 0xf_1fff;
    private const uint TimerExpired = 0x8000_0010;
    private const int PayloadLength = 24;
    private const byte FirstVector = 16;

    // A guest that asks for less gets no more interrupts than this.
    private const ulong ShortestPeriod = 500;

    private readonly ILock _gate;
    private readonly ReferenceTime _time;
    private readonly SyntheticInterrupts _interrupts;
    private readonly uint _index;
    private readonly IClockTimer _timer;
    private ulong _configuration;
    private ulong _count;
    private ulong _deadline;
    private bool _running;
    private bool _messageWaits;

    internal SyntheticTimer(ILock gate, IMachineClock clock, ReferenceTime time, SyntheticInterrupts interrupts, uint index)
    {
        _gate = gate;
        _time = time;
        _interrupts = interrupts;
        _index = index;
        _timer = clock.CreateTimer(this);
    }

    internal ulong Configuration => _configuration;

    internal ulong Count => _count;

    private int Source => (int)(_configuration >> 16) & 15;

    /// <inheritdoc/>
    public void OnTimer()
    {
        _gate.Enter();
        if (_running && (_configuration & Enabled) != 0 && _time.Now >= _deadline)
        {
            Expire();
        }
        else if (_running && (_configuration & Enabled) != 0)
        {
            Arm();
        }

        _gate.Exit();
    }

    internal void Reset()
    {
        _configuration = _count = _deadline = 0;
        _messageWaits = false;
        _timer.Cancel();
    }

    internal void Start()
    {
        _running = true;
        if ((_configuration & Enabled) != 0)
        {
            Arm();
        }
    }

    internal void Stop()
    {
        _running = false;
        _timer.Cancel();
    }

    internal bool TryWriteConfiguration(ulong value)
    {
        bool direct = (value & Direct) != 0;
        if ((value & ~ConfigurationMask) != 0 || (direct && (byte)(value >> 4) < FirstVector))
        {
            return false;
        }

        // Source 0 is not for timers, and without a count there is nothing to wait for.
        _configuration = value;
        if ((!direct && Source == 0) || _count == 0)
        {
            _configuration &= ~Enabled;
        }

        Set();
        return true;
    }

    internal void WriteCount(ulong value)
    {
        _count = value;
        _configuration = value == 0 ? _configuration & ~Enabled
            : (_configuration & AutoEnable) != 0 ? _configuration | Enabled : _configuration;
        Set();
    }

    /// <summary>The source's place is free again.</summary>
    internal void OnEndOfMessage()
    {
        if (_messageWaits)
        {
            _messageWaits = !TrySendMessage();
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _configuration);
        state.Write((ushort)(field + 1), _count);
        state.Write((ushort)(field + 2), _deadline);
        state.Write((ushort)(field + 3), _messageWaits);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        bool valid = state.TryTake(field, ref _configuration) & state.TryTake((ushort)(field + 1), ref _count) & state.TryTake((ushort)(field + 2), ref _deadline)
            & state.TryTake((ushort)(field + 3), ref _messageWaits);
        return valid && (_configuration & ~ConfigurationMask) == 0 && ((_configuration & Direct) == 0 || (byte)(_configuration >> 4) >= FirstVector);
    }

    private void Set()
    {
        _messageWaits = false;
        if ((_configuration & Enabled) == 0)
        {
            _timer.Cancel();
            return;
        }

        _deadline = (_configuration & Periodic) != 0 ? GetNext(_time.Now) : _count;
        Arm();
    }

    private void Arm()
    {
        if (_running)
        {
            _timer.Arm(_deadline > ulong.MaxValue / (2 * ReferenceTime.Unit) ? ulong.MaxValue / 2 : _deadline * ReferenceTime.Unit);
        }
    }

    private void Expire()
    {
        if ((_configuration & Direct) != 0)
        {
            _interrupts.Send((byte)(_configuration >> 4));
        }
        else
        {
            _messageWaits = !TrySendMessage();
        }

        if ((_configuration & Periodic) == 0)
        {
            _configuration &= ~Enabled;
            return;
        }

        // What came too late is not made up for.
        _deadline = Math.Max(GetNext(_deadline), _time.Now);
        Arm();
    }

    // A period that ends after all time there is never ends: a sum that went round would have ended already, each time anew.
    private ulong GetNext(ulong start)
    {
        ulong next = start + Math.Max(_count, ShortestPeriod);
        return next < start ? ulong.MaxValue : next;
    }

    private bool TrySendMessage()
    {
        Span<byte> payload = stackalloc byte[PayloadLength];
        payload.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(payload, _index);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], _deadline);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], _time.Now);
        return _interrupts.TryPost(Source, TimerExpired, payload);
    }
}

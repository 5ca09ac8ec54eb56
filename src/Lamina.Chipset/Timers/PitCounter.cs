using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Timers;

/// <summary>
/// One counter of the 8254 (Intel 82C54 datasheet, order number 231244). Nothing ticks: the count and the output are computed from the tick at which the
/// count was loaded. All times are ticks of 1.193182 MHz.
/// </summary>
internal sealed class PitCounter
{
    private const byte LowByteOnly = 1;
    private const byte HighByteOnly = 2;

    private readonly bool _gateAfterReset;
    private byte _mode;
    private byte _access;
    private bool _bcd;
    private bool _gate;
    private bool _running;
    private bool _loaded;
    private bool _held;
    private bool _nextPending;
    private bool _writeHigh;
    private bool _readHigh;
    private bool _latched;
    private bool _statusLatched;
    private byte _writtenLow;
    private byte _latchedStatus;
    private ushort _latchedCount;
    private uint _reload;
    private uint _next;
    private ulong _start;
    private ulong _heldElapsed;
    private ulong _switchAt;

    public PitCounter(bool gate)
    {
        _gateAfterReset = gate;
        Reset();
    }

    public bool Gate => _gate;

    public bool IsPeriodic => _mode is 2 or 3;

    /// <summary>Length of the counting cycle: the count in decimal mode has four digits.</summary>
    private uint Modulus => _bcd ? 10_000u : 0x1_0000u;

    public void Reset()
    {
        _mode = 3;
        _access = 3;
        _bcd = false;
        _gate = _gateAfterReset;
        Unload();
        _latched = false;
        _statusLatched = false;
        _writtenLow = 0;
        _latchedStatus = 0;
        _latchedCount = 0;
        _reload = Modulus;
        _next = Modulus;
        _start = 0;
        _heldElapsed = 0;
        _switchAt = 0;
    }

    /// <summary>Control word for this counter, other than the latch command.</summary>
    public void SetMode(byte access, byte mode, bool bcd)
    {
        _access = access;
        _mode = (byte)(mode > 5 ? mode & 3 : mode);
        _bcd = bcd;
        _latched = false;
        _statusLatched = false;
        Unload();
    }

    public void LatchCount(ulong now)
    {
        if (!_latched)
        {
            _latchedCount = GetCount(now);
            _latched = true;
        }
    }

    public void LatchStatus(ulong now)
    {
        if (!_statusLatched)
        {
            Advance(now);
            bool isNull = !_loaded || _nextPending;
            _latchedStatus = (byte)((GetOutput(now) ? 0x80 : 0) | (isNull ? 0x40 : 0) | (_access << 4) | (_mode << 1) | (_bcd ? 1 : 0));
            _statusLatched = true;
        }
    }

    public byte Read(ulong now)
    {
        if (_statusLatched)
        {
            _statusLatched = false;
            return _latchedStatus;
        }

        ushort count = _latched ? _latchedCount : GetCount(now);
        bool high = _access == HighByteOnly || (_access != LowByteOnly && _readHigh);
        if (_access is not (LowByteOnly or HighByteOnly))
        {
            _readHigh = !_readHigh;
        }

        if (_access is LowByteOnly or HighByteOnly || high)
        {
            _latched = false;
        }

        return (byte)(high ? count >> 8 : count);
    }

    public void Write(byte value, ulong now)
    {
        switch (_access)
        {
            case LowByteOnly:
                Load(value, now);
                break;
            case HighByteOnly:
                Load((ushort)(value << 8), now);
                break;
            default:
                if (_writeHigh)
                {
                    Load((ushort)(_writtenLow | (value << 8)), now);
                }
                else
                {
                    _writtenLow = value;
                    if (_mode == 0)
                    {
                        // The first byte of a new count stops mode 0.
                        Unload();
                    }
                }

                _writeHigh = !_writeHigh;
                break;
        }
    }

    public void SetGate(bool gate, ulong now)
    {
        if (gate == _gate)
        {
            return;
        }

        Advance(now);
        _gate = gate;
        switch (_mode)
        {
            case 1 or 5 when gate && _loaded:
                _reload = _nextPending ? _next : _reload;
                _nextPending = false;
                _start = now;
                _running = true;
                break;
            case 2 or 3 when gate && _loaded:
                _reload = _nextPending ? _next : _reload;
                _nextPending = false;
                _start = now;
                _held = false;
                break;
            case 0 or 2 or 3 or 4 when !gate && _running:
                _heldElapsed = now - _start;
                _held = true;
                break;
            case 0 or 4 when gate && _held:
                _start = now - _heldElapsed;
                _held = false;
                break;
            default:
                break;
        }
    }

    /// <summary>The OUT pin.</summary>
    public bool GetOutput(ulong now)
    {
        Advance(now);
        if (!_running)
        {
            return _mode != 0;
        }

        ulong elapsed = Elapsed(now);
        return _mode switch
        {
            0 or 1 => elapsed >= _reload,
            2 => _held || elapsed % _reload != _reload - 1,
            3 => _held || elapsed % _reload < (_reload + 1) / 2,
            _ => elapsed != _reload,
        };
    }

    /// <summary>The next tick after <paramref name="now"/> at which OUT rises, or the greatest value if it never will as things are.</summary>
    public ulong GetNextRise(ulong now)
    {
        Advance(now);
        if (!_running || _held)
        {
            return ulong.MaxValue;
        }

        if (IsPeriodic)
        {
            return now < _start ? _start : _start + ((((now - _start) / _reload) + 1) * _reload);
        }

        ulong rise = _start + _reload + (_mode >= 4 ? 1u : 0u);
        return rise > now ? rise : ulong.MaxValue;
    }

    /// <summary>The first period end at or after <paramref name="tick"/>.</summary>
    public ulong GetPeriodEndFrom(ulong tick)
    {
        return tick <= _start ? _start : _start + ((((tick - _start) + _reload - 1) / _reload) * _reload);
    }

    public CounterState HandOver(ulong now, TickRate rate)
    {
        Advance(now);
        return new CounterState
        {
            Mode = _mode,
            Access = _access,
            Decimal = _bcd,
            Gate = _gate,
            Loaded = _loaded,
            Count = _nextPending ? _next : _reload,
            Elapsed = _running ? rate.ToNanoseconds(Elapsed(now)) : 0,
            WriteHigh = _writeHigh,
            WrittenLow = _writtenLow,
            ReadHigh = _readHigh,
            Latched = _latched,
            LatchedCount = _latchedCount,
            StatusLatched = _statusLatched,
            LatchedStatus = _latchedStatus,
        };
    }

    public void TakeBack(in CounterState state, ulong now, TickRate rate)
    {
        _mode = (byte)(state.Mode > 5 ? 3 : state.Mode);
        _access = state.Access is >= 1 and <= 3 ? state.Access : (byte)3;
        _bcd = state.Decimal;
        _gate = state.Gate;
        Unload();
        _loaded = state.Loaded;
        _reload = IsCount(state.Count) ? state.Count : Modulus;
        _next = _reload;
        _writeHigh = state.WriteHigh;
        _writtenLow = state.WrittenLow;
        _readHigh = state.ReadHigh;
        _latched = state.Latched;
        _latchedCount = state.LatchedCount;
        _statusLatched = state.StatusLatched;
        _latchedStatus = state.LatchedStatus;
        _running = _loaded && (_mode is not (1 or 5) || state.Gate);
        ulong elapsed = rate.ToTicks(state.Elapsed);

        // The machine may be younger than the count: only the phase matters then.
        elapsed = IsPeriodic && elapsed > now ? elapsed % _reload : elapsed;
        _start = now - Math.Min(elapsed, now);
        _held = _running && !_gate && _mode is not (1 or 5);
        _heldElapsed = _held ? elapsed : 0;
        _switchAt = 0;
    }

    public void Save(IStateWriter state, ushort first)
    {
        ulong flags = 0;
        ReadOnlySpan<bool> bits = [_bcd, _gate, _running, _loaded, _held, _nextPending, _writeHigh, _readHigh, _latched, _statusLatched];
        for (int i = 0; i < bits.Length; i++)
        {
            flags |= bits[i] ? 1UL << i : 0;
        }

        state.Write(first, flags);
        state.Write((ushort)(first + 1), _mode);
        state.Write((ushort)(first + 2), _access);
        state.Write((ushort)(first + 3), _writtenLow);
        state.Write((ushort)(first + 4), _latchedStatus);
        state.Write((ushort)(first + 5), _latchedCount);
        state.Write((ushort)(first + 6), _reload);
        state.Write((ushort)(first + 7), _next);
        state.Write((ushort)(first + 8), _start);
        state.Write((ushort)(first + 9), _heldElapsed);
        state.Write((ushort)(first + 10), _switchAt);
    }

    public bool Restore(IStateReader state, ushort first)
    {
        ulong flags = 0;
        bool valid = state.TryTake(first, ref flags)
            & state.TryTake((ushort)(first + 1), 5, ref _mode)
            & state.TryTake((ushort)(first + 2), 3, ref _access)
            & state.TryTake((ushort)(first + 3), ref _writtenLow)
            & state.TryTake((ushort)(first + 4), ref _latchedStatus)
            & state.TryTake((ushort)(first + 5), ref _latchedCount)
            & state.TryTake((ushort)(first + 6), ref _reload)
            & state.TryTake((ushort)(first + 7), ref _next)
            & state.TryTake((ushort)(first + 8), ref _start)
            & state.TryTake((ushort)(first + 9), ref _heldElapsed)
            & state.TryTake((ushort)(first + 10), ref _switchAt);
        _bcd = (flags & 1) != 0;
        _gate = (flags & 2) != 0;
        _running = (flags & 4) != 0;
        _loaded = (flags & 8) != 0;
        _held = (flags & 0x10) != 0;
        _nextPending = (flags & 0x20) != 0;
        _writeHigh = (flags & 0x40) != 0;
        _readHigh = (flags & 0x80) != 0;
        _latched = (flags & 0x100) != 0;
        _statusLatched = (flags & 0x200) != 0;
        return valid && flags < 0x400 && _access != 0 && IsCount(_reload) && IsCount(_next);
    }

    private static bool IsCount(uint value) => value is >= 1 and <= 0x1_0000;

    private static uint FromDecimal(ushort digits)
    {
        uint value = 0;
        for (int shift = 12; shift >= 0; shift -= 4)
        {
            value = (value * 10) + ((uint)(digits >> shift) & 0xf);
        }

        return value;
    }

    private static ushort ToDecimal(uint value)
    {
        uint digits = 0;
        for (int shift = 0; shift < 16; shift += 4)
        {
            digits |= (value % 10) << shift;
            value /= 10;
        }

        return (ushort)digits;
    }

    private void Unload()
    {
        _running = false;
        _loaded = false;
        _held = false;
        _nextPending = false;
        _writeHigh = false;
        _readHigh = false;
    }

    private void Load(ushort written, ulong now)
    {
        Advance(now);
        uint count = _bcd ? FromDecimal(written) % Modulus : written;
        count = count == 0 ? Modulus : count;
        if (IsPeriodic && count == 1)
        {
            count = 2; // 1 is illegal in modes 2 and 3.
        }

        if ((IsPeriodic && _running) || _mode is 1 or 5)
        {
            // Takes effect at the end of the period, or at the next trigger.
            _next = count;
            _nextPending = true;
            _loaded = true;
            _switchAt = _start + (((Elapsed(now) / _reload) + 1) * _reload);
            return;
        }

        _reload = count;
        _start = now;
        _loaded = true;
        _running = true;
        _held = !_gate;
        _heldElapsed = 0;
    }

    // A new count of modes 2 and 3 takes over where the period in which it was written ends.
    private void Advance(ulong now)
    {
        if (!_nextPending || !IsPeriodic || !_running || _held)
        {
            return;
        }

        if (now >= _switchAt)
        {
            _start = _switchAt;
            _reload = _next;
            _nextPending = false;
        }
    }

    private ulong Elapsed(ulong now) => _held ? _heldElapsed : now >= _start ? now - _start : 0;

    private ushort GetCount(ulong now)
    {
        Advance(now);
        if (!_running)
        {
            return 0;
        }

        ulong elapsed = Elapsed(now);
        uint count = _mode switch
        {
            2 => _reload - (uint)(elapsed % _reload),
            3 => _reload - (uint)(elapsed * 2 % _reload),
            _ => (uint)((_reload + Modulus - (elapsed % Modulus)) % Modulus),
        };
        return _bcd ? ToDecimal(count % Modulus) : (ushort)count;
    }
}

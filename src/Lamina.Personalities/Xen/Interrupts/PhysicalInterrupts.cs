using Lamina.Machine;
using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Xen.Interrupts;

/// <summary>
/// The physical interrupts of the domain (PIRQs, xen/include/public/physdev.h): numbers to which a guest maps interrupts of devices, to hear of them by event channels. One that is mapped and bound
/// comes by its channel alone; the others go to the interrupt controllers. Members want the domain's lock held unless they say otherwise.
/// </summary>
internal sealed partial class PhysicalInterrupts(ILock gate, IInterruptDiversion? lines) : IInterruptLineSink
{
    /// <summary>Number of physical interrupts.</summary>
    internal const int Count = 256;

    // Numbers that a guest may choose for itself come first.
    private const int FirstFree = 16;

    // Lines of the ISA bus are edges, but for the system control interrupt.
    private const int FirstLevel = 16;
    private const int SystemControl = 9;
    private const short Unmapped = 0;
    private const short Taken = -1;
    private const short Message = -2;

    // A global system interrupt, or one of those above.
    private readonly short[] _sources = new short[Count];
    private readonly uint[] _ports = new uint[Count];
    private uint _levels;
    private bool _isRestoring;
    private Events.EventChannels? _events;

    /// <summary>Says where what is bound is raised.</summary>
    internal void Connect(Events.EventChannels events) => _events = events;

    internal void Reset()
    {
        Unbind();
        Array.Clear(_sources);
        _isRestoring = false;
    }

    /// <summary>The domain's state was taken back: lines that are asserted already are events now that the processors can be told.</summary>
    internal void EndRestore()
    {
        _isRestoring = false;
        for (uint i = 0; i < Count; i++)
        {
            if (_sources[i] > 0 && _ports[i] != 0 && (_levels & (1u << _sources[i])) != 0)
            {
                _events?.RaisePirq(i);
            }
        }
    }

    /// <summary>Forgets all channels.</summary>
    internal void Unbind()
    {
        for (uint i = 0; i < Count; i++)
        {
            SetPort(i, 0);
        }
    }

    /// <summary>The channel of a physical interrupt; 0 for none.</summary>
    internal uint GetPort(uint pirq) => _ports[pirq];

    /// <summary>Says which channel a physical interrupt has; 0 for none.</summary>
    internal void SetPort(uint pirq, uint port)
    {
        bool changes = (_ports[pirq] == 0) != (port == 0);
        _ports[pirq] = port;
        if (changes)
        {
            Route(pirq, port != 0);
        }
    }

    /// <summary>Maps a global system interrupt.</summary>
    /// <param name="interrupt">The global system interrupt.</param>
    /// <param name="pirq">The number that it is to have, negative for any; then the one that it has.</param>
    internal long Map(int interrupt, ref int pirq)
    {
        if (lines is null || (uint)interrupt >= sizeof(uint) * 8 || (lines.Interrupts & (1u << interrupt)) == 0 || pirq >= Count)
        {
            return XenError.InvalidArgument;
        }

        int before = _sources.AsSpan().IndexOf((short)interrupt);
        if (before >= 0)
        {
            bool same = pirq < 0 || pirq == before;
            pirq = before;
            return same ? 0 : XenError.Exists;
        }

        pirq = pirq < 0 ? FindFree() : pirq;
        if (pirq < 0)
        {
            return XenError.NoSpace;
        }

        if (_sources[pirq] is not (Unmapped or Taken))
        {
            return XenError.Exists;
        }

        _sources[pirq] = (short)interrupt;
        Route((uint)pirq, _ports[pirq] != 0);
        return 0;
    }

    /// <summary>Takes a mapping back: its interrupt goes to the controllers again.</summary>
    internal long Unmap(int pirq)
    {
        if ((uint)pirq >= Count)
        {
            return XenError.InvalidArgument;
        }

        Route((uint)pirq, bound: false);
        _sources[pirq] = Unmapped;
        return 0;
    }

    /// <summary>Gives the guest a number for messages of a device.</summary>
    /// <returns>The number, or an error.</returns>
    internal long Take()
    {
        int pirq = _sources.AsSpan(FirstFree).LastIndexOf(Unmapped) + FirstFree;
        if (pirq < FirstFree)
        {
            return XenError.NoSpace;
        }

        _sources[pirq] = Taken;
        return pirq;
    }

    /// <summary>Whether it is mapped to something.</summary>
    internal bool IsMapped(uint pirq) => pirq < Count && _sources[pirq] is not (Unmapped or Taken);

    /// <summary>The guest has dealt with one: if its line is a level that is still there, it comes again.</summary>
    internal long End(uint pirq)
    {
        if (pirq >= Count)
        {
            return XenError.InvalidArgument;
        }

        if (_sources[pirq] is >= FirstLevel or SystemControl && (_levels & (1u << _sources[pirq])) != 0)
        {
            _events?.RaisePirq(pirq);
        }

        return 0;
    }

    /// <summary>A line that has a channel has changed. Any thread, without the lock.</summary>
    public void SetLine(int line, bool asserted)
    {
        uint bit = 1u << line;
        gate.Enter();
        bool rises = asserted && (_levels & bit) == 0;
        _levels = asserted ? _levels | bit : _levels & ~bit;
        int pirq = rises ? _sources.AsSpan().IndexOf((short)line) : -1;
        if (pirq >= 0)
        {
            _events?.RaisePirq((uint)pirq);
        }

        gate.Exit();
    }

    /// <summary>A device sends a message. One without a vector names a physical interrupt where others name a processor, and maps it. Any thread, without the lock.</summary>
    /// <returns>Whether it was one.</returns>
    internal bool TryTake(ulong address, uint data)
    {
        uint pirq = GetNumber(address, data);
        if (pirq == 0)
        {
            return false;
        }

        gate.Enter();
        if (pirq < Count && _sources[pirq] is Unmapped or Taken or Message)
        {
            _sources[pirq] = Message;
            _events?.RaisePirq(pirq);
        }

        gate.Exit();
        return true;
    }

    /// <summary>The number in a message of a device; 0 if it is none. What has one is masked at its channel alone.</summary>
    internal static uint GetNumber(ulong address, uint data)
    {
        const uint VectorMask = 0xff;
        const int DestinationShift = 12;
        const int HighShift = 32;
        return (data & VectorMask) != 0 ? 0 : ((uint)(address >> HighShift) & ~VectorMask) | ((uint)(address >> DestinationShift) & VectorMask);
    }

    private int FindFree()
    {
        int free = _sources.AsSpan(FirstFree).IndexOf(Unmapped);
        return free < 0 ? free : free + FirstFree;
    }

    // A line that is asserted already is an event for whoever takes it.
    private void Route(uint pirq, bool bound)
    {
        int line = _sources[pirq];
        if (line <= 0)
        {
            return;
        }

        uint bit = 1u << line;
        bool asserted = lines!.Divert(line, bound ? this : null) && bound;
        _levels = asserted ? _levels | bit : _levels & ~bit;
        if (asserted && !_isRestoring)
        {
            _events?.RaisePirq(pirq);
        }
    }
}

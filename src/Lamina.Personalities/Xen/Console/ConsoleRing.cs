using Lamina.Machine;
using Lamina.Machine.Backends;
using Lamina.Machine.Memory;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Console;

/// <summary>The guest's console: a page with a ring each way (struct xencons_interface).</summary>
public sealed class ConsoleRing : IEventTarget, ICharacterInput
{
    /// <summary>Its event channel.</summary>
    internal const uint Port = 2;

    private const uint InLength = 1024;
    private const uint OutLength = 2048;
    private const uint OutRing = 1024;
    private const ulong InConsumer = SpecialPages.Console + 3072;
    private const ulong InProducer = SpecialPages.Console + 3076;
    private const ulong OutConsumer = SpecialPages.Console + 3080;
    private const ulong OutProducer = SpecialPages.Console + 3084;

    private readonly XenDomain _domain;
    private readonly ILock _gate;
    private readonly ICharacterOutput _output;
    private readonly byte[] _bytes = new byte[OutLength];
    private ICharacterInputReady? _ready;
    private bool _inputWaits;
    private bool _running;

    /// <summary>Makes it.</summary>
    /// <param name="personality">The hypervisor.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="output">Where the guest's output goes.</param>
    public ConsoleRing(XenPersonality personality, ILock gate, ICharacterOutput output)
    {
        ArgumentNullException.ThrowIfNull(personality);
        _domain = personality.Domain;
        _gate = gate;
        _output = output;
    }

    private GuestMemory Memory => _domain.Memory;

    /// <inheritdoc/>
    public void SetReadyTarget(ICharacterInputReady target) => _ready = target;

    /// <inheritdoc/>
    public int Receive(ReadOnlySpan<byte> data)
    {
        _gate.Enter();
        int done = 0;
        Memory.TryRead(InConsumer, out uint consumer);
        Memory.TryRead(InProducer, out uint producer);
        while (_running && done < data.Length && producer - consumer < InLength)
        {
            uint start = producer % InLength;
            int part = (int)Math.Min(Math.Min(InLength - (producer - consumer), InLength - start), (uint)(data.Length - done));
            Memory.TryWrite(SpecialPages.Console + start, data.Slice(done, part));
            done += part;
            producer += (uint)part;
        }

        Interlocked.MemoryBarrier();
        if (done > 0)
        {
            Memory.TryWrite(InProducer, producer);
            _domain.Events.Signal(Port, this);
        }

        _inputWaits = done < data.Length;
        _gate.Exit();
        return done;
    }

    void IEventTarget.OnEvent()
    {
        _gate.Enter();
        Memory.TryRead(OutConsumer, out uint consumer);
        Memory.TryRead(OutProducer, out uint producer);
        Interlocked.MemoryBarrier();
        uint count = producer - consumer;
        bool wrote = count is > 0 and <= OutLength;
        if (wrote)
        {
            uint start = consumer % OutLength;
            uint first = Math.Min(count, OutLength - start);
            Memory.TryRead(SpecialPages.Console + OutRing + start, _bytes.AsSpan(0, (int)first));
            Memory.TryRead(SpecialPages.Console + OutRing, _bytes.AsSpan((int)first, (int)(count - first)));
            Memory.TryWrite(OutConsumer, producer);
            _output.Write(_bytes.AsSpan(0, (int)count));
        }

        bool ready = _inputWaits;
        _inputWaits = false;
        _gate.Exit();
        if (wrote)
        {
            _domain.Events.Signal(Port, this);
        }

        if (ready)
        {
            _ready?.OnInputReady();
        }
    }

    /// <summary>Begins to take what is typed, and what was typed meanwhile.</summary>
    internal void Start()
    {
        _gate.Enter();
        _running = true;
        _gate.Exit();
        _ready?.OnInputReady();
    }

    /// <summary>Leaves what is typed to wait.</summary>
    internal void Stop()
    {
        _gate.Enter();
        _running = false;
        _gate.Exit();
    }

    internal void Reset()
    {
        Span<byte> page = stackalloc byte[GuestMemory.PageSize];
        page.Clear();
        _gate.Enter();
        Memory.TryWrite(SpecialPages.Console, page);
        _inputWaits = false;
        _gate.Exit();
    }
}

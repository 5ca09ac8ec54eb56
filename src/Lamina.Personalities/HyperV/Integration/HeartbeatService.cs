using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>Asks the guest's system every two seconds whether it lives.</summary>
public sealed class HeartbeatService : IntegrationService
{
    private const ulong Period = 2_000_000_000;
    private const ulong LongestSilence = 5 * Period;
    private const int Length = 40;

    private bool _due;
    private ulong _heard;
    private ulong _sequence;

    /// <summary>Makes it and puts it on the bus.</summary>
    public HeartbeatService(VmBusController bus)
        : base(
            bus,
            "heartbeat0",
            new Guid(0x57164f39, 0x9115, 0x4e78, 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d),
            new Guid(0xfd149e91, 0x82e0, 0x4a7d, 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0),
            IntegrationMessage.Heartbeat,
            [new ServiceVersion(1, 0), new ServiceVersion(3, 0)],
            Period)
    {
    }

    /// <summary>Whether the guest answers; null if it has no such service. Any thread.</summary>
    public bool? IsAlive
    {
        get
        {
            Gate.Enter();
            bool? alive = IsAgreed ? Clock.Now - _heard < LongestSilence : null;
            Gate.Exit();
            return alive;
        }
    }

    /// <inheritdoc/>
    private protected override void OnAgreed()
    {
        _heard = Clock.Now;
        _due = true;
    }

    /// <inheritdoc/>
    private protected override void OnPeriod() => _due = true;

    /// <inheritdoc/>
    private protected override void OnContinued()
    {
    }

    /// <inheritdoc/>
    private protected override void OnLost() => _due = false;

    /// <inheritdoc/>
    private protected override int Compose(Span<byte> body)
    {
        BitConverter.TryWriteBytes(body, _sequence);
        return _due ? Length : 0;
    }

    /// <inheritdoc/>
    private protected override void OnSent()
    {
        _due = false;
        _sequence += 2;
    }

    // The guest adds one to the number; that it says anything is what counts.
    /// <inheritdoc/>
    private protected override void OnAnswer(uint status, ReadOnlySpan<byte> body) => _heard = Clock.Now;

    /// <inheritdoc/>
    private protected override void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _due);
        state.Write((ushort)(field + 1), _sequence);
        state.Write((ushort)(field + 2), Clock.Now - _heard);
    }

    /// <inheritdoc/>
    private protected override bool Restore(IStateReader state, ushort field)
    {
        ulong silence = 0;
        bool valid = state.TryTake(field, ref _due) & state.TryTake((ushort)(field + 1), ref _sequence) & state.TryTake((ushort)(field + 2), ref silence);
        _heard = Clock.Now - Math.Min(silence, Clock.Now);
        return valid;
    }
}

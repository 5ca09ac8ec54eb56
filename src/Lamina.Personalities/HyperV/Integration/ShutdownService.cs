using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>Asks the guest's system to stop and switch its machine off.</summary>
public sealed class ShutdownService : IntegrationService
{
    private const ulong Period = 60_000_000_000;
    private const uint Planned = 0x8000_0000;

    // A reason, a time limit, flags, and a text to show, of which there is none.
    private const int Length = 12 + 2048;
    private bool _wanted;

    /// <summary>Makes it and puts it on the bus.</summary>
    public ShutdownService(VmBusController bus)
        : base(
            bus,
            "shutdown0",
            new Guid(0x0e0b6031, 0x5213, 0x4934, 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb),
            new Guid(0xb6650ff7, 0x33bc, 0x4840, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93),
            IntegrationMessage.Shutdown,
            [new ServiceVersion(1, 0), new ServiceVersion(3, 0), new ServiceVersion(3, 1), new ServiceVersion(3, 2)],
            Period)
    {
    }

    /// <summary>Asks the guest. Any thread.</summary>
    /// <returns><c>false</c> if it has no such service.</returns>
    public bool TryPowerOff()
    {
        Gate.Enter();
        bool agreed = IsAgreed;
        _wanted |= agreed;
        Poll();
        Gate.Exit();
        return agreed;
    }

    /// <inheritdoc/>
    private protected override void OnAgreed()
    {
    }

    /// <inheritdoc/>
    private protected override void OnPeriod()
    {
    }

    /// <inheritdoc/>
    private protected override void OnContinued()
    {
    }

    /// <inheritdoc/>
    private protected override void OnLost() => _wanted = false;

    /// <inheritdoc/>
    private protected override int Compose(Span<byte> body)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(body, Planned);
        return _wanted ? Length : 0;
    }

    /// <inheritdoc/>
    private protected override void OnSent() => _wanted = false;

    /// <inheritdoc/>
    private protected override void OnAnswer(uint status, ReadOnlySpan<byte> body)
    {
    }

    /// <inheritdoc/>
    private protected override void Save(IStateWriter state, ushort field) => state.Write(field, _wanted);

    /// <inheritdoc/>
    private protected override bool Restore(IStateReader state, ushort field) => state.TryTake(field, ref _wanted);
}

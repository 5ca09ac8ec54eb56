using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>Asks the guest's system to stop, and switch its machine off or start again.</summary>
public sealed class ShutdownService : IntegrationService
{
    private const ulong Period = 60_000_000_000;
    private const uint Planned = 0x8000_0000;

    // A reason, a time limit, flags, and a text to show, of which there is none.
    private const int Length = 12 + 2048;
    private const int FlagsOffset = 8;
    private const byte None = 0;
    private const byte PowerOff = 1;
    private const byte Restart = 2;
    private const uint RestartFlag = 2;
    private byte _wanted;

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
    public bool TryPowerOff() => TryAsk(PowerOff);

    /// <summary>Asks the guest to start again. Any thread.</summary>
    /// <returns><c>false</c> if it has no such service.</returns>
    public bool TryRestart() => TryAsk(Restart);

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
    private protected override void OnLost() => _wanted = None;

    /// <inheritdoc/>
    private protected override int Compose(Span<byte> body)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(body, Planned);
        BinaryPrimitives.WriteUInt32LittleEndian(body[FlagsOffset..], _wanted == Restart ? RestartFlag : 0);
        return _wanted == None ? 0 : Length;
    }

    /// <inheritdoc/>
    private protected override void OnSent() => _wanted = None;

    /// <inheritdoc/>
    private protected override void OnAnswer(uint status, ReadOnlySpan<byte> body)
    {
    }

    /// <inheritdoc/>
    private protected override void Save(IStateWriter state, ushort field) => state.Write(field, _wanted);

    /// <inheritdoc/>
    private protected override bool Restore(IStateReader state, ushort field) => state.TryTake(field, Restart, ref _wanted);

    private bool TryAsk(byte wanted)
    {
        Gate.Enter();
        bool agreed = IsAgreed;
        _wanted = agreed ? wanted : _wanted;
        Poll();
        Gate.Exit();
        return agreed;
    }
}

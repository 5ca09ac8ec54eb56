using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <summary>
/// Tells the guest's system the time of day: to be set when its service begins and when the machine goes on after it stood still, and then as a sample every half minute, from which a guest that
/// wants to keeps its clock (Linux: /dev/ptp_hyperv).
/// </summary>
public sealed class TimeSyncService : IntegrationService
{
    private const ulong Period = 30_000_000_000;
    private const ulong UnixEpoch = 116_444_736_000_000_000;
    private const ushort WithReference = 4;
    private const byte Sync = 1;
    private const byte Sample = 2;
    private const int LengthWithReference = 24;
    private const int Length = 28;

    private byte _wanted;

    /// <summary>Makes it and puts it on the bus.</summary>
    public TimeSyncService(VmBusController bus)
        : base(
            bus,
            "timesync0",
            new Guid(0x9527e630, 0xd0ae, 0x497b, 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf),
            new Guid(0x2dd1ce17, 0x079e, 0x403c, 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee),
            IntegrationMessage.TimeSync,
            [new ServiceVersion(1, 0), new ServiceVersion(3, 0), new ServiceVersion(4, 0)],
            Period)
    {
    }

    /// <inheritdoc/>
    private protected override void OnAgreed() => _wanted = Sync;

    /// <inheritdoc/>
    private protected override void OnPeriod() => _wanted |= Sample;

    /// <inheritdoc/>
    private protected override void OnContinued() => _wanted = Sync;

    /// <inheritdoc/>
    private protected override void OnLost() => _wanted = 0;

    /// <inheritdoc/>
    private protected override int Compose(Span<byte> body)
    {
        if (_wanted == 0)
        {
            return 0;
        }

        byte flag = (_wanted & Sync) != 0 ? Sync : Sample;
        BinaryPrimitives.WriteUInt64LittleEndian(body, (Clock.UnixTime / ReferenceTime.Unit) + UnixEpoch);
        if (Version.Major < WithReference)
        {
            body[24] = flag;
            return Length;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(body[8..], Clock.Now / ReferenceTime.Unit);
        body[16] = flag;
        return LengthWithReference;
    }

    /// <inheritdoc/>
    private protected override void OnSent() => _wanted = 0;

    /// <inheritdoc/>
    private protected override void OnAnswer(uint status, ReadOnlySpan<byte> body)
    {
    }

    /// <inheritdoc/>
    private protected override void Save(IStateWriter state, ushort field) => state.Write(field, (ulong)_wanted);

    /// <inheritdoc/>
    private protected override bool Restore(IStateReader state, ushort field) => state.TryTake(field, Sync | Sample, ref _wanted);
}

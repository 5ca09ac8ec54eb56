using System.Buffers.Binary;
using Lamina.Interop.Kvm;
using Lamina.Machine.Personalities;

namespace Lamina.Kvm;

/// <summary>
/// What a hypercall has processors do. Translations are KVM's: it drops all of a processor's when CR3 is set from outside, to another value and back. A processor that is asked does that before it enters the guest
/// again; who asks waits, before it does so itself, for those that were in the guest to come out.
/// </summary>
internal sealed unsafe partial class KvmProcessor : ICallingProcessor
{
    private const ulong WriteThrough = 8;
    private const int VectorsOffset = 160;
    private const int VectorsLength = 16 * 16;
    private const int ComponentsOffset = 512;
    private const ulong VectorComponent = 2;

    private readonly long[] _awaited = new long[64];
    private ulong _awaits;
    private long _dropsAsked;
    private long _dropsDone;

    /// <inheritdoc/>
    public void DropTranslations(ulong processors, bool withGlobal, ReadOnlySpan<ulong> pages)
    {
        foreach (KvmProcessor other in _partition.Processors)
        {
            if (((processors >> other.Index) & 1) == 0)
            {
                continue;
            }

            long number = Interlocked.Increment(ref other._dropsAsked);
            other.Ask(DropBit);
            if (other != this && Volatile.Read(ref other._running) != 0)
            {
                _awaited[other.Index] = number;
                _awaits |= 1UL << other.Index;
            }
        }
    }

    /// <inheritdoc/>
    public void ReadVectors(Span<byte> destination)
    {
        _kvm.GetExtendedState(_extendedState);
        destination.Clear();
        if ((BinaryPrimitives.ReadUInt64LittleEndian(_extendedState.AsSpan(ComponentsOffset)) & VectorComponent) != 0)
        {
            _extendedState.AsSpan(VectorsOffset, Math.Min(destination.Length, VectorsLength)).CopyTo(destination);
        }
    }

    /// <inheritdoc/>
    public void WriteVectors(int offset, ReadOnlySpan<byte> source)
    {
        _kvm.GetExtendedState(_extendedState);
        Span<byte> components = _extendedState.AsSpan(ComponentsOffset);
        ulong present = BinaryPrimitives.ReadUInt64LittleEndian(components);
        Span<byte> vectors = _extendedState.AsSpan(VectorsOffset, VectorsLength);
        if ((present & VectorComponent) == 0)
        {
            // All of them are zero, which the area need not say.
            vectors.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(components, present | VectorComponent);
        }

        source.CopyTo(vectors[offset..]);
        _ = _kvm.SetExtendedState(_extendedState);
    }

    /// <inheritdoc/>
    public void GiveWay() => Thread.Yield();

    private void DropNow()
    {
        long asked = Volatile.Read(ref _dropsAsked);
        _kvm.GetSystemRegisters(out KvmSystemRegisters registers);
        registers.Cr3 ^= WriteThrough;
        _ = _kvm.SetSystemRegisters(registers);
        registers.Cr3 ^= WriteThrough;
        _ = _kvm.SetSystemRegisters(registers);
        Volatile.Write(ref _dropsDone, asked);
    }

    // Out of the guest: whoever waits for this processor sees that, so that no two wait for each other. False: something is asked of this one meanwhile.
    private bool AwaitDrops()
    {
        foreach (KvmProcessor other in _partition.Processors)
        {
            ulong bit = 1UL << other.Index;
            SpinWait spin = default;
            while ((_awaits & bit) != 0 && Volatile.Read(ref other._running) != 0 && Volatile.Read(ref other._dropsDone) < _awaited[other.Index])
            {
                if (Volatile.Read(ref _attention) != 0)
                {
                    return false;
                }

                spin.SpinOnce(sleep1Threshold: -1);
            }

            _awaits &= ~bit;
        }

        return true;
    }
}

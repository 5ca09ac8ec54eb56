using System.Buffers.Binary;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.HyperV;

/// <summary>Hypercalls that flush virtual TLBs (Top-Level Functional Specification, section 9.4.4 on).</summary>
internal static class TranslationFlushes
{
    private const ulong AllProcessors = 1;
    private const ulong NonGlobalOnly = 4;
    private const ulong ExtendedRanges = 8;
    private const ulong KnownFlags = 0xf;
    private const int FlagsOffset = 8;
    private const int SetOffset = 16;

    // More, and everything is flushed.
    private const int MaximumPages = 64;
    private const ulong CountMask = 0xfff;
    private const ulong LargePages = 0x800;
    private const int PageShift = 12;

    /// <summary>Executes one with a mask of processors.</summary>
    internal static HypercallStatus Flush(ICallingProcessor? caller, in HypercallInput input) => Flush(caller, input, input.Get64(SetOffset));

    /// <summary>Executes one with a set of processors.</summary>
    internal static HypercallStatus FlushSet(ICallingProcessor? caller, in HypercallInput input)
    {
        return ProcessorSet.TryRead(input.Get64(SetOffset), input.Get64(SetOffset + sizeof(ulong)), input.Variable, out ulong processors)
            ? Flush(caller, input, processors) : HypercallStatus.InvalidParameter;
    }

    // The address space is not looked at: what a processor has cached of others it drops too.
    private static HypercallStatus Flush(ICallingProcessor? caller, in HypercallInput input, ulong processors)
    {
        ulong flags = input.Get64(FlagsOffset);
        if ((flags & ~KnownFlags) != 0)
        {
            return HypercallStatus.InvalidParameter;
        }

        processors = (flags & AllProcessors) != 0 ? ulong.MaxValue : processors;
        Span<ulong> pages = stackalloc ulong[MaximumPages];
        if (input.Control.RepCount == 0)
        {
            caller?.DropTranslations(processors, (flags & NonGlobalOnly) == 0, []);
        }
        else if (TryCollect(input, (flags & ExtendedRanges) != 0, pages, out int count))
        {
            caller?.DropTranslations(processors, withGlobal: true, pages[..count]);
        }
        else
        {
            caller?.DropTranslations(processors, withGlobal: true, []);
        }

        return HypercallStatus.Success;
    }

    // Each element is a page and the number of those that follow it, of 4 KiB or, in the extended format, of 2 MiB or 1 GiB.
    private static bool TryCollect(in HypercallInput input, bool extended, Span<ulong> pages, out int count)
    {
        count = 0;
        for (int i = input.Control.RepStart; i < input.Control.RepCount; i++)
        {
            ulong range = BinaryPrimitives.ReadUInt64LittleEndian(input.GetElement(i));
            ulong more = range & CountMask;
            if ((extended && (range & LargePages) != 0) || count + (int)more >= pages.Length)
            {
                return false;
            }

            for (ulong n = 0; n <= more; n++)
            {
                pages[count++] = (range & ~CountMask) + (n << PageShift);
            }
        }

        return true;
    }
}

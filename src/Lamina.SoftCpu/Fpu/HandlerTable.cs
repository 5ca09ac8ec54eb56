using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu.Fpu;

/// <summary>Chooses among the handlers of <see cref="VectorHandlers"/>.</summary>
internal static unsafe class HandlerTable
{
    /// <summary>The handler of a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="memory">The r/m operand is memory.</param>
    /// <param name="store">The r/m operand is written.</param>
    /// <param name="general">The r/m operand is a general register.</param>
    /// <param name="checksMode">Must be refused outside protected mode.</param>
    public static delegate*<ProcessorContext*, Instruction*, bool> Find(VectorRow row, bool memory, bool store, bool general, bool checksMode)
    {
        if (checksMode)
        {
            return row.Has(RowAttributes.FlagsOut) ? Checked<FlagsUse>(memory) : Checked<PlainUse>(memory);
        }

        bool mxcsr = row.Has(RowAttributes.Mxcsr);
        if (row.UsesMmx)
        {
            return mxcsr ? Of<MmxFloatUse>(memory, store, general) : Of<MmxUse>(memory, store, general);
        }

        if (!row.Has(RowAttributes.FlagsOut))
        {
            return mxcsr ? Of<FloatUse>(memory, store, general) : Of<PlainUse>(memory, store, general);
        }

        return mxcsr ? Of<FloatFlagsUse>(memory, store, general)
            : row.Has(RowAttributes.FlagsIn) ? Of<FlagsInOutUse>(memory, store, general)
            : Of<FlagsUse>(memory, store, general);
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Of<T>(bool memory, bool store, bool general)
        where T : IStubUse
    {
        if (memory)
        {
            return store ? &VectorHandlers.Store<T> : &VectorHandlers.Load<T>;
        }

        return store && general ? &VectorHandlers.GeneralResult<T> : &VectorHandlers.Register<T>;
    }

    private static delegate*<ProcessorContext*, Instruction*, bool> Checked<T>(bool memory)
        where T : IStubUse => memory ? &VectorHandlers.ProtectedLoad<T> : &VectorHandlers.ProtectedRegister<T>;
}

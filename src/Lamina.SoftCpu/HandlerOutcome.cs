namespace Lamina.SoftCpu;

/// <summary>What an instruction handler that answered <c>false</c> leaves behind.</summary>
internal enum HandlerOutcome : byte
{
    /// <summary>Nothing: go on at <see cref="ProcessorContext.Rip"/> with a fresh block look-up.</summary>
    Continue,

    /// <summary>An exception whose return address is this instruction.</summary>
    Fault,

    /// <summary>An exception or software interrupt whose handler has already set <see cref="ProcessorContext.Rip"/> to the return address.</summary>
    Trap,

    /// <summary>The block was invalidated under the processor: this instruction has not begun.</summary>
    Invalidated,

    /// <summary>Stop running: halted, waiting for start-up, or shut down.</summary>
    Stop,

    /// <summary>Triple fault.</summary>
    Shutdown,

    /// <summary>
    /// A repeated string instruction gave way to let events in: <see cref="ProcessorContext.Rip"/> still names it and its registers say how far it got.
    /// </summary>
    Yield,
}

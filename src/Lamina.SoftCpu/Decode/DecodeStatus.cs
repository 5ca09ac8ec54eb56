namespace Lamina.SoftCpu.Decode;

/// <summary>Outcome of decoding one instruction.</summary>
internal enum DecodeStatus
{
    /// <summary>Decoded: the length and all fields are valid. The opcode may still be undefined.</summary>
    Done,

    /// <summary>More bytes are needed than were available.</summary>
    Truncated,

    /// <summary>Longer than 15 bytes: #GP(0).</summary>
    TooLong,

    /// <summary>An encoding that no processor defines: #UD. The length is not meaningful.</summary>
    Undefined,
}

namespace Lamina.Storage.Sharing;

/// <summary>Errno values that the protocol answers with (the guest's, which on x86-64 are the host's).</summary>
internal static class FuseErrors
{
    public const int NoEntry = 2;
    public const int InputOutput = 5;
    public const int BadDescriptor = 9;
    public const int NoMemory = 12;
    public const int NotDirectory = 20;
    public const int Invalid = 22;
    public const int TooManyFiles = 23;
    public const int ReadOnly = 30;
    public const int NotImplemented = 38;
    public const int NotPermitted = 1;
}

namespace Lamina.Personalities.Xen;

/// <summary>What hypercalls answer when they fail: negative numbers of errors (xen/include/public/errno.h).</summary>
internal static class XenError
{
    internal const long NotPermitted = -1;
    internal const long NoEntry = -2;
    internal const long NoSuchProcess = -3;
    internal const long TooLong = -7;
    internal const long BadAddress = -14;
    internal const long Exists = -17;
    internal const long InvalidArgument = -22;
    internal const long NoSpace = -28;
    internal const long NoSuchCall = -38;
    internal const long OutOfTime = -62;
    internal const long NotSupported = -95;
}

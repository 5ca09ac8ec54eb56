namespace Lamina.Verify.Privileged;

/// <summary>The manuals do not say what comes out: the case is counted apart.</summary>
internal sealed class UnjudgedCase(string why) : Exception(why);

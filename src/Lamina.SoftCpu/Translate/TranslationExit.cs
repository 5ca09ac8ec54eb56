namespace Lamina.SoftCpu.Translate;

/// <summary>Why translated code came back.</summary>
internal enum TranslationExit
{
    /// <summary>Go on at RIP.</summary>
    Dispatch = 0,

    /// <summary>One instruction is to be interpreted; execution may then resume behind it. The data behind the call tell which.</summary>
    Interpret = 1,

    /// <summary>Go on at a direct target, and connect the jump with it if it has a translation.</summary>
    Link = 2,

    /// <summary>As <see cref="Interpret"/>; a <see cref="TranslationSite"/> tells which.</summary>
    Site = 3,

    /// <summary>Go on at the beginning of the translation, which was not begun.</summary>
    Start = 4,

    /// <summary>The same; and it has run often.</summary>
    Hot = 5,

    /// <summary>Go on at RIP, and set the numbers of its page, which guards of jumps to it have not found.</summary>
    Renumber = 6,
}

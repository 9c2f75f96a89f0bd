// Every text of the page. To translate it, change the right sides and the two lines below, and nothing else.
export const language = "en";
export const direction = "ltr";

export const texts = {
  title: "Infantile spasms: look at a video",
};
